// .NET's count of time: 100 ns since the year 1.
const UNIX_EPOCH = 621_355_968_000_000_000n;

export function ticksOf(date: Date): bigint {
  return BigInt(date.getTime()) * 10_000n + UNIX_EPOCH;
}
