// Counters and histograms in Prometheus' exposition format, version 0.0.4. A metric holds a bounded number of series:
// what comes after that is counted under the label value `other`.

const MOST_SERIES = 1_000;
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

class Series<T> {
  readonly #labels: readonly string[];
  readonly #make: () => T;
  readonly #series = new Map<string, T>();

  constructor(labels: readonly string[], make: () => T) {
    this.#labels = labels;
    this.#make = make;
  }

  at(values: readonly string[]): T {
    const known = this.#series.get(values.join('\0'));
    if (known !== undefined) return known;
    const kept = this.#series.size < MOST_SERIES ? values : values.map(() => 'other');
    const key = kept.join('\0');
    const found = this.#series.get(key) ?? this.#make();
    this.#series.set(key, found);
    return found;
  }

  /** Each series with its labels as text: `route="/x",status="200"`. */
  *entries(): Generator<readonly [labels: string, series: T]> {
    for (const [key, series] of this.#series) {
      const values = this.#labels.length === 0 ? [] : key.split('\0');
      yield [values.map((value, i) => `${this.#labels[i]}="${escapeLabel(value)}"`).join(','), series];
    }
  }
}

function escapeLabel(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}

export class Counters {
  readonly #name: string;
  readonly #help: string;
  readonly #series: Series<{ value: number }>;

  constructor(name: string, help: string, labels: readonly string[]) {
    this.#name = name;
    this.#help = help;
    this.#series = new Series(labels, () => ({ value: 0 }));
  }

  add(count: number, ...labels: readonly string[]): void {
    this.#series.at(labels).value += count;
  }

  text(): string {
    const lines = [...this.#series.entries()].map(([labels, { value }]) => `${named(this.#name, labels)} ${value}\n`);
    return head(this.#name, this.#help, 'counter') + lines.join('');
  }
}

type Observed = { readonly buckets: number[]; sum: number; count: number };

/** In seconds. */
export class Histogram {
  readonly #name: string;
  readonly #help: string;
  readonly #series: Series<Observed>;

  constructor(name: string, help: string, labels: readonly string[]) {
    this.#name = name;
    this.#help = help;
    this.#series = new Series(labels, () => ({ buckets: BUCKETS.map(() => 0), sum: 0, count: 0 }));
  }

  observe(seconds: number, ...labels: readonly string[]): void {
    const observed = this.#series.at(labels);
    const bucket = BUCKETS.findIndex((limit) => seconds <= limit);
    if (bucket >= 0) observed.buckets[bucket]!++;
    observed.sum += seconds;
    observed.count++;
  }

  text(): string {
    const lines = [...this.#series.entries()].map(([labels, observed]) => this.#lines(labels, observed));
    return head(this.#name, this.#help, 'histogram') + lines.join('');
  }

  #lines(labels: string, { buckets, sum, count }: Observed): string {
    let below = 0;
    const comma = labels === '' ? '' : `${labels},`;
    const lines = buckets.map((here, i) => {
      below += here;
      return `${this.#name}_bucket{${comma}le="${BUCKETS[i]}"} ${below}\n`;
    });
    const last = `${this.#name}_bucket{${comma}le="+Inf"} ${count}\n`;
    return `${lines.join('')}${last}${named(`${this.#name}_sum`, labels)} ${sum}\n${named(`${this.#name}_count`, labels)} ${count}\n`;
  }
}

function head(name: string, help: string, type: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

function named(name: string, labels: string): string {
  return labels === '' ? name : `${name}{${labels}}`;
}
