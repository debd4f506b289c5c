// Days and hours of a time zone. A day is YYYY-MM-DD.

/** Whether the browser knows a zone's name. */
export function knows(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** The browser's own zone. */
export function ownZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}

/** All zones that can be chosen: the one that is, the browser's and UTC first. */
export function zones(chosen: string): string[] {
  return [...new Set([chosen, ownZone(), 'UTC', ...Intl.supportedValuesOf('timeZone')])];
}

/** The day that it is in a zone. */
export function today(zone: string, now: Date): string {
  return new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' }).format(now);
}

/** The day so many days later. */
export function later(day: string, days: number): string {
  return new Date(Date.parse(day + 'T00:00:00Z') + days * 86_400_000).toISOString().slice(0, 10);
}

/** Days from one to another. */
export function span(from: string, to: string): number {
  return Math.round((Date.parse(to) - Date.parse(from)) / 86_400_000);
}

export function isDay(s: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(s) && !Number.isNaN(Date.parse(s)) && later(s, 0) === s;
}

/** How far a zone's clocks are ahead of UTC at an instant, in milliseconds. */
function offset(at: number, zone: string): number {
  const p: Record<string, number> = {};
  const f = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone, year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric', hourCycle: 'h23',
  });
  for (const { type, value } of f.formatToParts(at)) p[type] = Number(value);
  return Date.UTC(p['year'] ?? 0, (p['month'] ?? 1) - 1, p['day'], p['hour'], p['minute'], p['second']) - Math.floor(at / 1000) * 1000;
}

/** The instant at which a day begins in a zone, in seconds since 1970. */
export function begins(day: string, zone: string): number {
  const utc = Date.parse(day + 'T00:00:00Z');
  const near = utc - offset(utc, zone);
  const at = utc - offset(near, zone); // the offset that holds there
  // Where clocks are put forward at midnight, as on the Azores, the day has no 00:00 and begins as they are.
  return (today(zone, new Date(at)) < day ? near : at) / 1000;
}

/** Units that a time axis may have. */
export type Unit = 'hour' | 'day' | 'month';

/** The unit in which a time of so many days is told. */
export function unitOf(days: number): Unit {
  return days <= 2 ? 'hour' : days <= 100 ? 'day' : 'month';
}

/**
 * The beginnings of all hours, days or months from one instant to another (RFC 3339 with the zone's offset), in seconds since 1970: rows are
 * there for those alone in which calls began.
 */
export function slots(from: string, to: string, unit: Unit, zone: string): number[] {
  const end = Date.parse(to) / 1000;
  const out: number[] = [];
  if (unit === 'hour') {
    for (let at = Date.parse(from) / 1000; at < end && out.length < 5000; at += 3600) out.push(at);
    return out;
  }
  for (let day = from.slice(0, unit === 'month' ? 7 : 10).padEnd(10, '-01'); out.length < 5000; ) {
    const at = begins(day, zone);
    if (at >= end) return out;
    out.push(at);
    day = unit === 'day' ? later(day, 1) : later(day, 32).slice(0, 7) + '-01';
  }
  return out;
}
