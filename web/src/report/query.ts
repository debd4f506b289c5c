import type { Question } from './ask.ts';
import { isDay, knows, later, ownZone, span, today, unitOf, type Unit } from './time.ts';

/** The page's views: each shows one or more reports. */
export const viewNames = ['traffic', 'money', 'quality', 'concurrency', 'destinations'] as const;
export type ViewName = (typeof viewNames)[number];

export const rangeNames = ['today', 'yesterday', '7d', '30d', 'month', 'last-month', 'year', 'days'] as const;
/** Which time is looked at; days: from and to of the choice. */
export type RangeName = (typeof rangeNames)[number];

/** What calls can be told apart by, beside time. */
export const splits = ['trunk', 'account', 'destination', 'codec', 'cause', 'direction', 'tenant', 'house', 'hour_of_day'] as const;
export type Split = (typeof splits)[number];

/** What calls can be chosen by. */
const filterNames = ['trunk', 'account', 'destination', 'codec', 'cause', 'direction', 'tenant'];
/** Those that a concurrency curve knows. */
const curveFilters = ['trunk', 'account', 'direction', 'tenant'];

/** What the page shows. It stands in the address, so that a view can be kept and sent. */
export interface Choice {
  view: ViewName;
  range: RangeName;
  /** First and last day, with range "days". */
  from: string;
  last: string;
  zone: string;
  split: Split;
  /** Only calls of these. */
  only: Record<string, string>;
}

/** Reads the address; what it can't make sense of is as if it weren't there. */
export function read(path: string, search: string, now: Date): Choice {
  const params = new URLSearchParams(search);
  const among = <T extends string>(list: readonly T[], s: string | null | undefined, other: T) => list.find((x) => x === s) ?? other;
  const zone = params.get('zone') ?? '';
  const c: Choice = {
    view: among(viewNames, path.split('/')[2], 'traffic'),
    range: among(rangeNames, params.get('range'), '30d'),
    from: params.get('from') ?? '',
    last: params.get('last') ?? '',
    zone: zone !== '' && knows(zone) ? zone : ownZone(),
    split: among(splits, params.get('by'), 'trunk'),
    only: {},
  };
  for (const name of filterNames) {
    const value = params.get(name);
    if (value !== null) c.only[name] = value;
  }
  const day = today(c.zone, now);
  if (!isDay(c.from)) c.from = later(day, -6);
  if (!isDay(c.last)) c.last = day;
  return c;
}

/** The address of a choice. */
export function write(c: Choice): string {
  const params = new URLSearchParams({ range: c.range });
  if (c.range === 'days') {
    params.set('from', c.from);
    params.set('last', c.last);
  }
  params.set('zone', c.zone);
  params.set('by', c.split);
  for (const [name, value] of Object.entries(c.only)) params.set(name, value);
  return `/reports/${c.view}?${params}`;
}

/** The days of a choice: from the first to the one that isn't in it any more. */
export function days(c: Choice, now: Date): { from: string; to: string } {
  const day = today(c.zone, now);
  const month = day.slice(0, 8) + '01';
  switch (c.range) {
    case 'today':
      return { from: day, to: later(day, 1) };
    case 'yesterday':
      return { from: later(day, -1), to: day };
    case '7d':
      return { from: later(day, -6), to: later(day, 1) };
    case '30d':
      return { from: later(day, -29), to: later(day, 1) };
    case 'month':
      return { from: month, to: later(day, 1) };
    case 'last-month':
      return { from: later(month, -1).slice(0, 8) + '01', to: month };
    case 'year':
      return { from: later(month, -334).slice(0, 8) + '01', to: later(day, 1) };
    case 'days':
      return { from: c.from, to: later(c.last, 1) };
  }
}

/** The unit of a choice's time axis. */
export function unit(c: Choice, now: Date): Unit {
  const { from, to } = days(c, now);
  return unitOf(span(from, to));
}

/** The question of one report about a choice; by: its dimensions, "" for those reports that have none. */
export function question(c: Choice, report: string, by: string, order: string, now: Date): Question {
  const params: Record<string, string> = { ...days(c, now), zone: c.zone };
  if (by !== '') params['by'] = by;
  if (order !== '') params['order'] = order;
  for (const [name, value] of Object.entries(c.only)) {
    if (report !== 'concurrency' || curveFilters.includes(name)) params[name] = value;
  }
  return { report, params };
}

/** The filters that a view can't apply. */
export function unused(c: Choice): string[] {
  return c.view === 'concurrency' ? Object.keys(c.only).filter((name) => !curveFilters.includes(name)) : [];
}
