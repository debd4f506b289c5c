// Words for people: why calls end, how long they were, when.

/** What a SIP final status says about the call that we made. */
const statuses: Record<number, string> = {
  400: 'The gateway didn’t understand the call',
  401: 'Not authorised',
  403: 'Not allowed',
  404: 'No such number',
  408: 'No answer',
  410: 'The number is no longer in use',
  415: 'No codec in common',
  480: 'Not available',
  481: 'The call no longer exists',
  483: 'The call went in circles',
  484: 'The number is incomplete',
  486: 'Busy',
  487: 'Cancelled',
  488: 'No codec in common',
  500: 'The gateway failed',
  502: 'The carrier failed',
  503: 'No line is free',
  504: 'The carrier didn’t answer',
  600: 'Busy',
  603: 'Declined',
  604: 'No such number',
  606: 'No codec in common',
};

/** What a cause of ITU-T Q.850 says. */
const causes: Record<number, string> = {
  1: 'No such number',
  2: 'No route to this number',
  3: 'No route to this number',
  16: 'Ended normally',
  17: 'Busy',
  18: 'No answer',
  19: 'No answer',
  20: 'Not registered',
  21: 'Declined',
  22: 'The number has changed',
  26: 'Answered elsewhere',
  27: 'The destination is out of order',
  28: 'The number is incomplete',
  31: 'Ended',
  34: 'No line is free',
  38: 'The network is out of order',
  41: 'Temporary failure',
  42: 'The network is congested',
  47: 'No line is free',
  57: 'Not allowed',
  88: 'No codec in common',
  102: 'No response in time',
};

/** A Reason header (RFC 3326): protocol, cause, text. */
export interface Reason {
  protocol: string;
  cause: number;
  text: string;
}

/** Reads the first value of a Reason header; undefined if there is none. */
export function reason(header: string | undefined): Reason | undefined {
  const m = /^\s*([\w.]+)\s*(;[^]*)?$/.exec(header ?? '');
  if (!m || m[1] === undefined) return undefined;
  const rest = m[2] ?? '';
  const cause = /;\s*cause\s*=\s*(\d{1,3})/i.exec(rest)?.[1];
  const text = /;\s*text\s*=\s*(?:"([^"]*)"|([^;,\s]*))/i.exec(rest);
  return { protocol: m[1].toUpperCase(), cause: cause ? Number(cause) : 0, text: text?.[1] ?? text?.[2] ?? '' };
}

/** Why a call ended, for the person who had it. */
export function ending(end: { status?: number; reason?: Reason | undefined; answered: boolean }): string {
  const r = end.reason;
  if (r?.protocol === 'SIP' && r.cause === 200) return 'Answered elsewhere';
  if (r?.protocol === 'Q.850' && r.cause === 26) return 'Answered elsewhere';
  if (end.answered) {
    if (r?.protocol === 'Q.850' && r.cause !== 16 && r.cause !== 31) return causeWords(r.cause);
    return 'Call ended';
  }
  // 480 and 503 stand for many causes: there the carrier's own cause says more.
  if (r?.protocol === 'Q.850' && r.cause !== 16 && r.cause !== 31 && causes[r.cause]) return causeWords(r.cause);
  if (end.status && end.status >= 300) return statusWords(end.status);
  return 'Call ended';
}

/** Why a recorded call ended, for one of its parties; "" while it is up. The same words as those of ending while it was. */
export function recordEnding(r: { direction: 'in' | 'out'; answered: boolean; ended: boolean; cause?: string | number | null; sip?: number | null }): string {
  if (typeof r.cause === 'string' && r.cause !== '') return r.cause.charAt(0).toUpperCase() + r.cause.slice(1);
  if (!r.ended) return '';
  const cause = typeof r.cause === 'number' ? r.cause : 0;
  if (!r.answered) {
    // 16 with 487 is a caller who gave up; 18 and 19 are a gateway that did. Whom it rang at has missed it either way.
    const gaveUp = cause === 16 || (cause === 0 && r.sip === 487);
    if (r.direction === 'in' && (gaveUp || cause === 18 || cause === 19 || cause === 102)) return 'Missed';
    if (gaveUp && (!r.sip || r.sip === 487)) return 'Cancelled';
    if (cause === 0 && !r.sip) return 'Not answered';
  }
  const known = cause === 0 ? undefined : { protocol: 'Q.850', cause, text: '' };
  return ending({ status: r.sip ?? 0, reason: known, answered: r.answered });
}

/** A codec by its name alone, as people write it: of opus/48000/2, Opus. */
export function codecWords(codec: string): string {
  const name = codec.split('/')[0] ?? '';
  return name.toLowerCase() === 'opus' ? 'Opus' : name;
}

/** How long to wait, in seconds, as a person would say it. */
export function wait(seconds: number): string {
  if (seconds < 1.5) return 'a second';
  if (seconds < 90) return `${Math.ceil(seconds)} seconds`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? `${minutes} minutes` : `${Math.ceil(minutes / 60)} hours`;
}

/** What 503 or 429 with Retry-After says: nobody at this address is let in for so many seconds. */
export function heldOff(seconds: number): string {
  return `The gateway lets nobody in from this address for now: it is full, or too many wrong passwords came from here. Try again in ${wait(seconds)}.`;
}

/** The seconds of a Retry-After header (RFC 9110 10.2.3, RFC 3261 20.33); undefined if there are none. */
export function retryAfter(header: string | null | undefined): number | undefined {
  const m = /^\s*(\d{1,6})\b/.exec(header ?? '');
  return m ? Number(m[1]) : undefined;
}

export function statusWords(status: number): string {
  return statuses[status] ?? `Refused (SIP ${status})`;
}

export function causeWords(cause: number): string {
  return causes[cause] ?? `Ended with cause ${cause}`;
}

/** A duration in milliseconds as 0:07, 12:30 or 1:02:03. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number) => String(n).padStart(2, '0');
  const [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}

/** A moment as a person would say it: the time today, the weekday this week, else the date. */
export function moment(at: Date, now: Date): string {
  if (Number.isNaN(at.getTime())) return '';
  const day = (d: Date) => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
  const days = Math.round((day(now) - day(at)) / 86_400_000);
  if (days === 0) return at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  if (days === 1) return 'Yesterday';
  if (days > 1 && days < 7) return at.toLocaleDateString([], { weekday: 'long' });
  return at.toLocaleDateString([], { day: 'numeric', month: 'short', year: 'numeric' });
}
