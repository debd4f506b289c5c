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
