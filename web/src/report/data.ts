import type { Answer } from './ask.ts';
import { slots, type Unit } from './time.ts';
import type { PlotOf } from './views.ts';

/** What uPlot draws: instants in seconds, then a list of values for each series; null is a gap. */
export type Curves = [number[], ...(number | null)[][]];

/** The column that is the time axis, if the answer has one. */
export function axis(a: Answer): { column: string; unit: Unit | undefined } | undefined {
  const first = a.columns[0];
  if (first?.kind !== 'time') return undefined;
  const { name } = first;
  return { column: name, unit: name === 'hour' || name === 'day' || name === 'month' ? name : undefined };
}

/** The currencies of an answer's money, in the order of its rows. */
export function currencies(a: Answer): string[] {
  const some = a.rows.filter((r) => Number(r['sell']) !== 0 || Number(r['buy']) !== 0 || String(r['currency']).includes('+'));
  return [...new Set(some.map((r) => String(r['currency'])))];
}

/** The curves of a plot. Steps of time without a row are there too: as 0, or as gaps. */
export function curves(a: Answer, plot: PlotOf): Curves {
  const x = axis(a);
  if (!x) return [[], ...plot.series.map(() => [])];
  const rows = new Map(a.rows.map((r) => [Date.parse(String(r[x.column])) / 1000, r]));
  const times = [...new Set([...(x.unit ? slots(a.from, a.to, x.unit, a.zone) : []), ...rows.keys()])].sort((p, q) => p - q);
  const currency = plot.money ? a.rows.at(-1)?.['currency'] : undefined;
  const none = plot.gap === 'zero' ? 0 : null;
  return [
    times,
    ...plot.series.map(({ column }) =>
      times.map((at) => {
        const row = rows.get(at);
        if (!row) return none;
        if (currency !== undefined && row['currency'] !== currency) return null;
        const v = row[column];
        return v === null || v === undefined ? null : Number(v);
      }),
    ),
  ];
}

/** How far each value goes between nothing and the greatest: −1 to 1. Amounts in several currencies are nothing beside each other. */
export function shares(a: Answer, column: string): number[] {
  if (a.columns.some((c) => c.name === column && c.kind === 'money') && currencies(a).length > 1) return a.rows.map(() => 0);
  const values = a.rows.map((r) => Number(r[column] ?? 0));
  const most = values.reduce((x, y) => Math.max(x, Math.abs(y)), 0);
  return values.map((v) => (most > 0 ? v / most : 0));
}
