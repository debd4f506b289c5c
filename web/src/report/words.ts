import type { Column, Row } from './ask.ts';

const none = '–';

/** A value for people; zone is that of times. What has no value is a dash. */
export function show(value: Row[string] | undefined, column: Column, zone: string): string {
  if (value === null || value === undefined) return none;
  switch (column.kind) {
    case 'money':
      return grouped(String(value));
    case 'time':
      return time(Date.parse(String(value)), column.name, zone);
    case 'flag':
      return value ? 'yes' : 'no';
    case 'text':
      return value === '' ? 'none' : String(value);
    case 'score':
      return Number(value).toFixed(2);
  }
  if (column.name === 'hour_of_day') return `${String(value).padStart(2, '0')}:00`;
  return grouped(String(value));
}

/** A decimal with thousands apart; no digit is lost. */
export function grouped(decimal: string): string {
  const m = /^(-?)(\d+)(\.\d+)?$/.exec(decimal);
  if (!m) return decimal;
  return (m[1] ? '−' : '') + (m[2] ?? '').replace(/\B(?=(\d{3})+$)/g, ',') + (m[3] ?? '');
}

/** A decimal with so many digits behind the point, halves away from zero. It doesn't go through binary fractions. */
export function rounded(decimal: string, digits: number): string {
  const m = /^(-?)(\d+)(?:\.(\d+))?$/.exec(decimal);
  if (!m) return decimal;
  const behind = (m[3] ?? '').padEnd(digits + 1, '0');
  let n = BigInt((m[2] ?? '0') + behind.slice(0, digits));
  if (behind.charAt(digits) >= '5') n++;
  const text = n.toString().padStart(digits + 1, '0');
  const cut = text.length - digits;
  return (m[1] && n > 0n ? '-' : '') + text.slice(0, cut) + (digits > 0 ? '.' + text.slice(cut) : '');
}

/** An instant (in milliseconds) for a column: a day, a month, an hour, or to the second. */
export function time(at: number, name: string, zone: string): string {
  const style: Record<string, Intl.DateTimeFormatOptions> = {
    day: { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' },
    month: { month: 'long', year: 'numeric' },
    began: { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' },
  };
  return new Intl.DateTimeFormat('en-GB', {
    timeZone: zone, hourCycle: 'h23', ...(style[name] ?? { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' }),
  }).format(at);
}

/** A day (YYYY-MM-DD) in words. */
export function day(d: string): string {
  return new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', day: 'numeric', month: 'long', year: 'numeric' }).format(Date.parse(d));
}

/** The marks of a time axis: the day where one begins or marks are days apart, else the hour. apart is in seconds. */
export function marks(at: number[], apart: number, zone: string): string[] {
  const of = (o: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat('en-GB', { timeZone: zone, hourCycle: 'h23', ...o });
  const year = of({ month: 'short', year: 'numeric' });
  const date = of({ day: 'numeric', month: 'short' });
  const hour = of({ hour: '2-digit', minute: '2-digit' });
  return at.map((s) => {
    if (apart >= 28 * 86_400) return year.format(s * 1000);
    const text = hour.format(s * 1000);
    return apart >= 86_400 || text === '00:00' ? date.format(s * 1000) : text;
  });
}

/** A dimension's name in words. */
export function dimension(name: string): string {
  return name === 'hour_of_day' ? 'hour of day' : name === 'house' ? 'currency of the house' : name;
}
