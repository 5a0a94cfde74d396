// The table: per figure and contender the median [least-most] of the rounds, and how much better ours is.
import type { Sample } from './scenarios.ts';

type Measured = Sample & { readonly peer: string };

export function printFigures(samples: readonly Measured[], ours: string): void {
  for (const [figure, measured] of Map.groupBy(samples, (sample) => sample.figure)) {
    const unit = measured[0]!.unit;
    console.log(`\n${figure} (${unit})`);
    const peers = [...Map.groupBy(measured, (sample) => sample.peer)].map(
      ([peer, all]) => [peer, all.map(({ value }) => value).sort((a, b) => a - b)] as const,
    );
    const base = median(peers.find(([peer]) => peer === ours)?.[1] ?? []);
    for (const [peer, sorted] of peers) {
      const value = median(sorted);
      const ratio = unit === '/s' ? base / value : value / base;
      const range = `[${shown(sorted[0]!, unit)}-${shown(sorted.at(-1)!, unit)}]`;
      const better = peer === ours || !Number.isFinite(ratio) ? '' : `ours is ${ratio.toPrecision(3)} x as good`;
      console.log(`  ${peer.padEnd(18)} ${shown(value, unit).padStart(9)}  ${range.padEnd(20)} ${better}`);
    }
  }
}

function median(sorted: readonly number[]): number {
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

function shown(value: number, unit: Sample['unit']): string {
  return unit === '/s' ? Math.round(value).toLocaleString('en') : value.toFixed(2);
}
