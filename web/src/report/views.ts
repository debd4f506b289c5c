import type { Answer, Row } from './ask.ts';
import type { ViewName } from './query.ts';
import { grouped, rounded } from './words.ts';

/** One curve or row of bars. */
export interface Series {
  column: string;
  label: string;
  bars?: boolean;
  dashed?: boolean;
}

export interface PlotOf {
  title: string;
  /** Behind values. */
  unit: string;
  series: Series[];
  /** Values are money: those of one currency are drawn, the last row's. */
  money?: boolean;
  /** A step of the time axis without a row: 0, or nothing to show. */
  gap: 'zero' | 'none';
  /** Bounds of the axis, if not those of the values. */
  bounds?: [number, number];
}

/** A figure of the whole time. */
export interface Tile {
  label: string;
  about: string;
  unit?: string;
  /** undefined: there is none. */
  of(a: Answer): string | undefined;
}

/** Panel is a report on the page, in one or more forms. */
export interface Panel {
  report: string;
  /** Its dimension: time in the unit that fits, what the person chose, a fixed one, or none. */
  by: 'time' | 'split' | 'destination' | '';
  title: string;
  tiles?: Tile[];
  plots?: PlotOf[];
  /** Column whose values are drawn beside the first one's. */
  share?: string;
  table: 'open' | 'folded';
  /** Columns of the table that come first and last; the others stay between. */
  first?: string[];
  last?: string[];
}

export interface View {
  title: string;
  about: string;
  panels: Panel[];
}

const total = (column: string) => (a: Answer) => {
  const v = a.total?.[column];
  return v === null || v === undefined ? undefined : grouped(String(v));
};
const score = (column: string) => (a: Answer) => {
  const v = a.total?.[column];
  return v === null || v === undefined ? undefined : Number(v).toFixed(2);
};
const amount = (column: string) => (a: Answer) => {
  const v = a.total?.[column];
  return v === null || v === undefined ? undefined : grouped(rounded(String(v), 2));
};
const numbers = (a: Answer, column: string) => a.rows.map((r: Row) => Number(r[column] ?? 0));
const most = (column: string) => (a: Answer) => grouped(String(numbers(a, column).reduce((x, y) => Math.max(x, y), 0)));
const duration = (a: Answer) => {
  const v = a.total?.['acd'];
  if (v === null || v === undefined) return undefined;
  const s = Math.round(Number(v));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
};

export const views: Record<ViewName, View> = {
  traffic: {
    title: 'Traffic',
    about: 'Calls that have ended, at the time at which they began',
    panels: [
      {
        report: 'traffic', by: 'time', title: 'Over time', table: 'folded',
        tiles: [
          { label: 'Calls', about: 'That have ended', of: total('calls') },
          { label: 'Answered', about: 'Calls that were answered', of: total('answered') },
          { label: 'ASR', unit: '%', about: 'Answered of seizures', of: total('asr') },
          { label: 'NER', unit: '%', about: 'Seizures that reached their addressee', of: total('ner') },
          { label: 'ACD', about: 'Average call duration, minutes and seconds', of: duration },
          { label: 'Post-dial delay', unit: 'ms', about: 'Half of the calls don’t exceed it', of: total('pdd_p50') },
          { label: 'Post-dial delay, p95', unit: 'ms', about: '95 of 100 calls don’t exceed it', of: total('pdd_p95') },
          { label: 'Minutes', about: 'Of talk', of: amount('minutes') },
        ],
        plots: [
          { title: 'Calls', unit: '', gap: 'zero', series: [{ column: 'calls', label: 'Calls', bars: true }, { column: 'answered', label: 'Answered', bars: true }] },
          { title: 'ASR and NER', unit: '%', gap: 'none', bounds: [0, 100], series: [{ column: 'asr', label: 'ASR' }, { column: 'ner', label: 'NER', dashed: true }] },
          { title: 'Average call duration', unit: 's', gap: 'none', series: [{ column: 'acd', label: 'ACD' }] },
          { title: 'Post-dial delay', unit: 'ms', gap: 'none', series: [{ column: 'pdd_p50', label: 'p50' }, { column: 'pdd_p95', label: 'p95', dashed: true }] },
        ],
      },
      { report: 'traffic', by: 'split', title: 'By', share: 'calls', table: 'open' },
    ],
  },
  money: {
    title: 'Minutes and margin',
    about: 'Amounts are in the currency that the house had then, and never added to those in another',
    panels: [
      {
        report: 'money', by: 'time', title: 'Over time', table: 'folded',
        tiles: [
          { label: 'Minutes', about: 'Of talk', of: amount('minutes') },
          { label: 'Sold', about: 'What calls were sold for', of: amount('sell') },
          { label: 'Bought', about: 'What calls cost', of: amount('buy') },
          { label: 'Margin', about: 'Sold less bought', of: amount('margin') },
          { label: 'Margin', unit: '%', about: 'Margin of what was sold', of: total('margin_percent') },
          { label: 'Losses', about: 'Calls that cost more than they were sold for', of: total('losses') },
          { label: 'Unpriced', about: 'Ratings without a price, or a rate of exchange: they count as nothing', of: total('unpriced') },
        ],
        plots: [
          { title: 'Minutes', unit: 'min', gap: 'zero', series: [{ column: 'minutes', label: 'Minutes', bars: true }] },
          {
            title: 'Sold, bought, margin', unit: '', money: true, gap: 'zero',
            series: [{ column: 'sell', label: 'Sold' }, { column: 'buy', label: 'Bought', dashed: true }, { column: 'margin', label: 'Margin' }],
          },
        ],
      },
      { report: 'money', by: 'split', title: 'By', share: 'margin', table: 'open' },
    ],
  },
  quality: {
    title: 'Quality',
    about: 'MOS by ITU-T G.107, from what was measured of calls and their legs',
    panels: [
      {
        report: 'quality', by: 'time', title: 'Over time', table: 'folded',
        tiles: [
          { label: 'MOS', about: 'Mean of the calls’', of: score('mos') },
          { label: 'Measured', about: 'Calls with a MOS', of: total('measured') },
          { label: 'Loss', unit: '%', about: 'Packets that never came', of: total('loss_percent') },
          { label: 'Jitter', unit: 'ms', about: 'Mean of the calls’', of: total('jitter') },
          { label: 'One way', about: 'Calls with a party that was never heard', of: total('one_way') },
          { label: 'FAS', about: 'Suspects of false answer supervision: nothing came behind the answer', of: total('fas') },
        ],
        plots: [
          { title: 'MOS', unit: '', gap: 'none', bounds: [1, 4.5], series: [{ column: 'mos', label: 'MOS' }] },
          { title: 'Loss', unit: '%', gap: 'none', series: [{ column: 'loss_percent', label: 'Loss' }] },
          { title: 'Jitter', unit: 'ms', gap: 'none', series: [{ column: 'jitter', label: 'Jitter' }] },
          {
            title: 'Suspicious calls', unit: '', gap: 'zero',
            series: [{ column: 'one_way', label: 'One way', bars: true }, { column: 'fas', label: 'FAS', dashed: true }],
          },
        ],
      },
      { report: 'quality', by: 'split', title: 'By', table: 'open' },
      { report: 'worst', by: '', title: 'Worst calls', table: 'open', first: ['mos', 'began', 'party', 'number'], last: ['call'] },
    ],
  },
  concurrency: {
    title: 'Concurrency',
    about: 'Calls at a time, ringing ones among them',
    panels: [
      {
        report: 'concurrency', by: '', title: 'Over time', table: 'folded',
        tiles: [
          { label: 'Peak', about: 'Most calls at a time', of: most('peak') },
          { label: 'Peak rate', unit: '/s', about: 'Most calls that began within one second', of: most('peak_rate') },
          { label: 'Began', about: 'Calls that began', of: (a) => grouped(String(numbers(a, 'began').reduce((x, y) => x + y, 0))) },
        ],
        plots: [
          { title: 'Calls at a time', unit: '', gap: 'zero', series: [{ column: 'peak', label: 'Peak' }, { column: 'mean', label: 'Mean', dashed: true }] },
          { title: 'Calls that began', unit: '', gap: 'zero', series: [{ column: 'began', label: 'Began' }] },
        ],
      },
    ],
  },
  destinations: {
    title: 'Top destinations',
    about: 'The twenty destinations with most calls, as the deck names them',
    panels: [{ report: 'destinations', by: 'destination', title: 'Destinations', share: 'calls', table: 'open' }],
  },
};

/** Whether an answer tells of no call at all. */
export function empty(a: Answer): boolean {
  if (a.report === 'concurrency') return a.rows.every((r) => r['peak'] === 0);
  return a.rows.length === 0;
}
