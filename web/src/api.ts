import { retryAfter } from './words.ts';

/** What the gateway tells a user who logs in. */
export interface Account {
  user: string;
  /** Address-of-record. */
  uri: string;
  /** Digest realm; undefined: whatever the gateway's challenge says. */
  realm: string | undefined;
  /** TURN servers with short-lived credentials. */
  ice: RTCIceServer[];
  /** For the rest of the interface; undefined if the gateway offers none. */
  token: string | undefined;
}

/** One call of the user, as recorded. Times are RFC 3339. */
export interface CallRecord {
  id: string;
  from: string;
  to: string;
  direction: 'in' | 'out';
  startedAt: string;
  answeredAt?: string | null;
  endedAt?: string | null;
  durationMs?: number | null;
  cause?: string | number | null;
  sip?: number | null;
  codec?: string | null;
  mos?: number | null;
}

/** Why a request failed. absent: the gateway doesn't offer this here. */
export type Refusal = 'away' | 'wrong' | 'absent' | 'busy';

export class ApiError extends Error {
  readonly refusal: Refusal;
  /** When to come again, in seconds, if the gateway said so. */
  readonly after: number | undefined;
  constructor(refusal: Refusal, message: string, after?: number) {
    super(message);
    this.refusal = refusal;
    this.after = after;
  }
}

const deadline = 8000; // ms

/** Logs in. Throws ApiError; with "absent" the user may still register by SIP alone. */
export async function login(user: string, password: string): Promise<Account> {
  const answer = await ask('POST', 'me/login', undefined, { user, password });
  const { sip, ice, token } = answer as { sip?: { uri?: unknown; realm?: unknown }; ice?: unknown; token?: unknown };
  if (typeof sip?.uri !== 'string') throw new ApiError('away', 'the gateway’s answer to the login has no sip.uri');
  return {
    user,
    uri: sip.uri,
    realm: typeof sip.realm === 'string' && sip.realm !== '' ? sip.realm : undefined,
    ice: Array.isArray(ice) ? (ice as RTCIceServer[]).filter((s) => s?.urls) : [],
    token: typeof token === 'string' ? token : undefined,
  };
}

/** The account of a gateway that offers SIP alone. */
export function plainAccount(user: string): Account {
  const bare = user.replace(/^sips?:/i, '');
  const at = bare.lastIndexOf('@');
  return {
    user: at < 0 ? bare : bare.slice(0, at),
    uri: at < 0 ? `sip:${encodeURIComponent(bare)}@${location.hostname}` : `sip:${bare}`,
    realm: undefined,
    ice: [],
    token: undefined,
  };
}

/** The user's last calls, newest first. */
export async function calls(token: string): Promise<CallRecord[]> {
  const answer = await ask('GET', 'me/calls', token);
  const list = Array.isArray(answer) ? answer : (answer as { calls?: unknown } | null)?.calls;
  if (!Array.isArray(list)) throw new ApiError('away', 'the gateway’s list of calls isn’t one');
  return (list as CallRecord[]).filter((r) => typeof r?.id === 'string');
}

/**
 * Asks whether the gateway holds off connections from this address, and for how many seconds; undefined if it doesn't, or if it can't be
 * reached. A WebSocket that is refused doesn't tell why: a plain request of the same path does.
 */
export async function heldOffFor(): Promise<number | undefined> {
  try {
    const response = await fetch('/sip', { cache: 'no-store', credentials: 'omit', redirect: 'error', signal: AbortSignal.timeout(deadline) });
    return response.status === 503 || response.status === 429 ? retryAfter(response.headers.get('Retry-After')) : undefined;
  } catch {
    return undefined;
  }
}

async function ask(method: string, path: string, token?: string, body?: unknown): Promise<unknown> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (token) headers['Authorization'] = `Bearer ${token}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response: Response;
  try {
    response = await fetch('/api/v1/' + path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
      signal: AbortSignal.timeout(deadline),
    });
  } catch (err) {
    throw new ApiError('away', String(err));
  }
  if (response.ok) {
    try {
      return await response.json();
    } catch (err) {
      throw new ApiError('away', `answer to ${path}: ${String(err)}`);
    }
  }
  throw new ApiError(refusal(response.status), `${path}: HTTP ${response.status}`, retryAfter(response.headers.get('Retry-After')));
}

function refusal(status: number): Refusal {
  switch (status) {
    case 401:
      return 'wrong';
    case 403:
    case 404:
    case 405:
    case 501:
      return 'absent';
    case 429:
      return 'busy';
    default:
      return 'away';
  }
}
