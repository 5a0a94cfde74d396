// A minute as a small area. Decorative: the number beside it says the same.
import { SAMPLES } from './stats.ts';

type SparklineProps = {
  readonly values: readonly number[];
  readonly width?: number;
  readonly height?: number;
  readonly tone?: 'brand' | 'bad';
};

export function Sparkline({ values, width = 120, height = 32, tone = 'brand' }: SparklineProps) {
  const points = pointsOf(values, width, height);
  return (
    <svg
      className={`spark spark-${tone}`}
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      {points.length > 1 && (
        <>
          <polygon points={`${points[0]?.[0]},${height} ${join(points)} ${width},${height}`} />
          <polyline points={join(points)} vectorEffect="non-scaling-stroke" />
        </>
      )}
    </svg>
  );
}

type Point = readonly [x: number, y: number];

// The newest value is at the right edge; a history shorter than a minute begins further right.
function pointsOf(values: readonly number[], width: number, height: number): Point[] {
  const slots = SAMPLES - 2;
  const highest = Math.max(...values, 1e-9);
  const shown = values.slice(-SAMPLES);
  return shown.map((value, index) => [
    round(width - ((shown.length - 1 - index) / slots) * width),
    round(height - 1.5 - (value / highest) * (height - 4)),
  ]);
}

function join(points: readonly Point[]): string {
  return points.map((point) => point.join(',')).join(' ');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
