/** A column of a report. */
export interface Column {
  name: string;
  /** text, time, count, seconds, minutes, ms, percent, score, number, money or flag. */
  kind: string;
  title: string;
  about: string;
}

export type Row = Record<string, string | number | boolean | null>;

/** What the gateway answers. Times are RFC 3339 in the query's zone, money is decimal strings. */
export interface Answer {
  report: string;
  from: string;
  to: string;
  zone: string;
  by: string[];
  source: string;
  columns: Column[];
  rows: Row[];
  total: Row | null;
  truncated: boolean;
}

/** What is asked: the report's name, and its parameters. */
export interface Question {
  report: string;
  params: Record<string, string>;
}

/**
 * Why a report isn't shown. token: one is needed; wrong: the one that was given is nobody's; role: it is somebody's who may not; wait: too
 * many ask at once; question: the gateway can't make sense of it; away: it, or its database, can't be reached.
 */
export type Why = 'token' | 'wrong' | 'role' | 'wait' | 'question' | 'away';

export class Refused extends Error {
  readonly why: Why;
  /** When to come again, in seconds, if the gateway said so. */
  readonly after: number | undefined;
  constructor(why: Why, said: string, after?: number) {
    super(said);
    this.why = why;
    this.after = after;
  }
}

/** What a status says, to whom showed a token or didn't. */
export function why(status: number, withToken: boolean, after: number | undefined): Why {
  switch (status) {
    case 401:
      return 'wrong';
    case 403:
      return withToken ? 'role' : 'token';
    case 400:
    case 404:
    case 405:
      return 'question';
    case 429:
      return 'wait';
    case 503:
      return after === undefined ? 'away' : 'wait';
    default:
      return 'away';
  }
}

/** A token's letters (RFC 6750 2.1, as the settings take them). */
export const tokenForm = /^[A-Za-z0-9._~-]{1,512}$/;

let turn: Promise<unknown> = Promise.resolve();
let refusals = 0;
let latest: Refused | undefined;

/** Told how far a report has come: so many steps of so many. */
export type Progress = (done: number, of: number) => void;

/**
 * Asks for a report; throws Refused, or what aborting throws. One question is asked after the other: the gateway makes one report at a time,
 * and the first on the page is wanted first. Those that wait while one is refused are refused as it was: a wrong token isn't shown twice.
 */
export function ask(q: Question, token: string, signal: AbortSignal, progress?: Progress): Promise<Answer> {
  const before = refusals;
  const mine = turn.then(async () => {
    signal.throwIfAborted();
    if (latest && refusals !== before) throw latest;
    try {
      return await one(q, token, signal, progress);
    } catch (err) {
      if (err instanceof Refused) {
        latest = err;
        refusals++;
      }
      throw err;
    }
  });
  turn = mine.catch(() => undefined);
  return mine;
}

async function one(q: Question, token: string, signal: AbortSignal, progress?: Progress): Promise<Answer> {
  const response = await get({ ...q, params: { ...q.params, progress: 'true' } }, token, 'json', signal);
  let answer: Answer | undefined;
  try {
    for await (const line of lines(response)) answer = told(line, progress) ?? answer;
  } catch (err) {
    signal.throwIfAborted();
    throw err instanceof Refused ? err : new Refused('away', `the answer can’t be read: ${String(err)}`);
  }
  if (!Array.isArray(answer?.columns) || !Array.isArray(answer.rows)) throw new Refused('away', 'the answer is no report');
  return answer;
}

/** What a line of an answer says: how far it has come, why it doesn't come, or the report itself, which is returned. */
function told(line: string, progress?: Progress): Answer | undefined {
  const said = JSON.parse(line) as Answer & { progress?: { done: number; of: number }; error?: string };
  if (typeof said.error === 'string') throw new Refused('away', `The gateway says: ${said.error}`);
  if (!said.progress) return said;
  progress?.(said.progress.done, said.progress.of);
  return undefined;
}

/** The lines of an answer, as they come. */
async function* lines(response: Response): AsyncGenerator<string> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  let parts: string[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    const [first = '', ...rest] = (value ?? '').split('\n');
    parts.push(first);
    for (const next of done ? [''] : rest) {
      const line = parts.join('');
      parts = [next];
      if (line !== '') yield line;
    }
    if (done) return;
  }
}

/** Asks for a report as a file of comma-separated values. */
export async function csv(q: Question, token: string): Promise<Blob> {
  return (await get(q, token, 'csv', AbortSignal.timeout(5 * 60_000))).blob();
}

async function get(q: Question, token: string, format: string, signal: AbortSignal): Promise<Response> {
  if (token !== '' && !tokenForm.test(token)) throw new Refused('wrong', 'a token has letters, digits and -._~ alone');
  const headers: Record<string, string> = token === '' ? {} : { Authorization: `Bearer ${token}` };
  let response: Response;
  try {
    response = await fetch(`/api/v1/reports/${encodeURIComponent(q.report)}?${new URLSearchParams({ ...q.params, format })}`, {
      headers,
      signal,
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
    });
  } catch (err) {
    signal.throwIfAborted();
    throw new Refused('away', err instanceof Error ? err.message : String(err));
  }
  if (response.ok) return response;
  const after = /^\d{1,6}$/.exec(response.headers.get('Retry-After') ?? '')?.[0];
  const said = `The gateway says: ${await words(response)}`;
  throw new Refused(why(response.status, token !== '', after === undefined ? undefined : Number(after)), said, after === undefined ? undefined : Number(after));
}

/** What a refusal says for people: error of JSON, or the text as it is. */
async function words(response: Response): Promise<string> {
  const text = (await response.text().catch(() => '')).trim();
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === 'string' && error !== '') return error;
  } catch {
    // Something between us and the gateway answered.
  }
  return text !== '' && text.length < 300 && !text.startsWith('<') ? text : `status ${response.status}`;
}
