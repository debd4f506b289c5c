import { UA, WebSocketInterface } from 'jssip';
import type { IncomingRTCSessionEvent, RTCSessionEvent, UnRegisteredEvent } from 'jssip/lib/UA';
import * as api from './api.ts';
import { microphoneWords, MicrophoneError, type Audio } from './audio.ts';
import { Call } from './call.ts';
import type { History } from './history.ts';
import { read, write } from './keep.ts';
import { address, dialled } from './number.ts';
import { Store } from './store.ts';
import { heldOff, retryAfter, statusWords, wait } from './words.ts';

/** out: nobody is logged in; entering: a login is on its way; ready: registered; away: the gateway can't be reached. */
export type Line = 'out' | 'entering' | 'ready' | 'away';

/** What went wrong, for the person and for tests. */
export interface Problem {
  about: 'password' | 'refused' | 'away' | 'busy' | 'microphone' | 'call';
  words: string;
}

/** What the page sounds. */
type Tone = 'ring' | 'knock' | 'ringback' | 'quiet';

const mostCalls = 2;
const endedFor = 6000; // ms that an ended call stays in sight
const renewAfter = 5 * 60_000; // ms after which TURN credentials are asked for anew
const awayWords = 'The gateway can’t be reached. Trying again…';

/** Phone is the telephone: one user's registration and calls. */
export class Phone extends Store {
  line: Line = 'out';
  user = '';
  problem: Problem | undefined;
  /** Running calls and those just ended; the first one is the one in front. */
  calls: Call[] = [];
  /** The last thing dialled. */
  last = '';

  readonly audio: Audio;
  readonly history: History;
  #account: api.Account | undefined;
  #accountAt = 0;
  #password = '';
  #ua: UA | undefined;
  #socket: WebSocketInterface | undefined;
  /** Counts logins: what belongs to an earlier one is ignored. */
  #turn = 0;
  #retry: number | undefined;
  #failures = 0;

  constructor(audio: Audio, history: History) {
    super();
    this.audio = audio;
    this.history = history;
    addEventListener('online', () => this.reconnect());
    addEventListener('pagehide', () => this.#ua?.stop());
    addEventListener('pageshow', (e) => {
      if (e.persisted) location.reload(); // what pagehide stopped doesn't come back
    });
    addEventListener('beforeunload', (e) => {
      if (this.running().length > 0) e.preventDefault();
    });
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.reconnect();
    });
  }

  /** Calls that haven't ended. */
  running(): Call[] {
    return this.calls.filter((c) => c.state !== 'ended');
  }

  /** Logs in whom this tab remembers, if it does. */
  resume(): void {
    const kept = read('session', 'login') as { user?: unknown; password?: unknown } | undefined;
    if (typeof kept?.user === 'string' && typeof kept.password === 'string') {
      void this.login(kept.user, kept.password, true);
    }
  }

  async login(user: string, password: string, remember: boolean): Promise<void> {
    const turn = ++this.#turn;
    this.line = 'entering';
    this.problem = undefined;
    this.user = user;
    this.#password = password;
    this.#failures = 0;
    this.changed();
    const account = await this.#enter(turn, user, password);
    if (!account || turn !== this.#turn) return;
    this.#account = account;
    this.#accountAt = performance.now();
    this.#start(turn, account, remember);
  }

  logout(problem?: Problem): void {
    this.#turn++;
    clearTimeout(this.#retry);
    write('session', 'login', undefined);
    this.#ua?.stop();
    this.#ua = undefined;
    this.#socket = undefined;
    this.#account = undefined;
    this.#password = '';
    this.line = 'out';
    this.problem = problem;
    this.history.forget();
    this.changed();
  }

  /** Tries again now what waits for its turn. */
  reconnect(): void {
    if (this.line === 'out' || !this.#ua || this.#ua.isConnected()) return;
    // JsSIP keeps its transport out of its types; connect() does nothing while one is on its way.
    (this.#ua as unknown as { transport: { connect(): void } | null }).transport?.connect();
  }

  /** Calls a number or an address. Gives whether the call was begun; if not, problem says why. */
  async call(text: string): Promise<boolean> {
    const account = this.#account;
    const ua = this.#ua;
    const to = address(text, account ? hostOf(account.uri) : '');
    if (!account || !ua || to === '') return this.#fail('call', 'This can’t be dialled: digits, *, #, +, or a user’s name.');
    if (this.line !== 'ready') return this.#fail('away', 'The gateway is away: no call can be made now.');
    if (this.running().length >= mostCalls) return this.#fail('call', 'There are two calls already. End one first.');
    this.problem = undefined;
    await this.#holdOthers();
    const microphone = await this.#microphone();
    if (!microphone) return false;
    this.last = dialled(text);
    try {
      const session = ua.call(to, { mediaStream: microphone, pcConfig: await this.#configuration() });
      const call = new Call(session, this.audio, account.user, this.last);
      call.connect(microphone);
      this.#add(call);
    } catch (err) {
      for (const t of microphone.getTracks()) t.stop();
      return this.#fail('call', `The call could not be made: ${String(err)}`);
    }
    return true;
  }

  /** Accepts an incoming call; a running one is held. */
  async accept(call: Call): Promise<void> {
    this.problem = undefined;
    await this.#holdOthers(call);
    const microphone = await this.#microphone();
    if (!microphone) return;
    call.answer(microphone, await this.#configuration());
    this.front(call);
  }

  /** Puts a call in front. */
  front(call: Call): void {
    this.calls = [call, ...this.calls.filter((c) => c !== call)];
    this.changed();
  }

  /** Holds the call in front and resumes another one. */
  async swap(call: Call): Promise<void> {
    await this.#holdOthers(call);
    await call.hold(false);
    this.front(call);
  }

  /** Sends a digit to the call in front. Gives false if there is none that takes it. */
  dtmf(tone: string): boolean {
    const call = this.calls[0];
    if (!call || (call.state !== 'talking' && call.state !== 'early')) return false;
    call.dtmf(tone);
    return true;
  }

  dismiss(call: Call): void {
    this.calls = this.calls.filter((c) => c !== call);
    this.changed();
  }

  clearProblem(): void {
    this.problem = undefined;
    this.changed();
  }

  /** Asks for the account until the gateway answers one way or the other. */
  async #enter(turn: number, user: string, password: string): Promise<api.Account | undefined> {
    for (let attempt = 1; turn === this.#turn; attempt++) {
      try {
        return await api.login(user, password);
      } catch (err) {
        if (turn !== this.#turn) return undefined;
        const refusal = err instanceof api.ApiError ? err.refusal : 'away';
        if (refusal === 'absent') return api.plainAccount(user);
        if (refusal === 'wrong') {
          this.logout({ about: 'password', words: 'The user name or the password is wrong.' });
          return undefined;
        }
        if (refusal === 'busy') {
          const after = err instanceof api.ApiError ? err.after : undefined;
          this.logout({ about: 'busy', words: `Too many wrong passwords. Try again in ${after === undefined ? 'a minute' : wait(after)}.` });
          return undefined;
        }
        const after = err instanceof api.ApiError ? err.after : undefined;
        this.problem = after === undefined ? { about: 'away', words: awayWords } : { about: 'busy', words: heldOff(after) };
        this.changed();
        await pause(Math.max(backOff(attempt), (after ?? 0) * 1000));
      }
    }
    return undefined;
  }

  #start(turn: number, account: api.Account, remember: boolean): void {
    const socket = new WebSocketInterface(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/sip`);
    let ua: UA;
    try {
      ua = new UA({
        sockets: [socket],
        uri: account.uri,
        authorization_user: account.user,
        // What other users see, unless the gateway has a name for this user.
        display_name: account.user,
        password: this.#password,
        ...(account.realm ? { realm: account.realm } : {}),
        register: true,
        // Short: a path that has died unnoticed is found out at the next refresh.
        register_expires: 120,
        connection_recovery_min_interval: 1,
        connection_recovery_max_interval: 30,
        session_timers: true,
        user_agent: 'Patchbay page',
      });
    } catch {
      this.logout({ about: 'password', words: 'This is not a user’s name.' });
      return;
    }
    this.#ua = ua;
    this.#socket = socket;
    const mine = (f: () => void) => () => {
      if (turn === this.#turn) f();
    };
    ua.on('disconnected', mine(() => this.#away()));
    ua.on('registered', mine(() => this.#ready(account, remember)));
    ua.on('unregistered', mine(() => this.#away()));
    ua.on('registrationFailed', (e: UnRegisteredEvent) => {
      if (turn === this.#turn) this.#refused(e);
    });
    ua.on('newRTCSession', (e: RTCSessionEvent) => {
      if (turn === this.#turn && e.originator === 'remote') this.#incoming(e);
    });
    ua.start();
  }

  #away(): void {
    if (this.line === 'ready') this.line = 'away';
    if (this.problem?.about !== 'busy') this.problem = { about: 'away', words: awayWords };
    this.changed();
    void this.#askWhy();
  }

  /** A refused WebSocket says nothing: asks whether the gateway lets nobody in from here, and says so. */
  async #askWhy(): Promise<void> {
    const turn = this.#turn;
    const after = await api.heldOffFor();
    if (turn !== this.#turn || this.line === 'out' || this.#ua?.isConnected()) return;
    if (after === undefined && this.problem?.about !== 'busy') return;
    this.problem = after === undefined ? { about: 'away', words: awayWords } : { about: 'busy', words: heldOff(after) };
    this.changed();
  }

  #ready(account: api.Account, remember: boolean): void {
    clearTimeout(this.#retry);
    this.#failures = 0;
    const first = this.line === 'entering';
    this.line = 'ready';
    if (this.problem && this.problem.about !== 'microphone') this.problem = undefined;
    if (first) {
      write('session', 'login', remember ? { user: this.user, password: this.#password } : undefined);
      this.history.open(account, () => this.#renew());
    } else {
      for (const c of this.running()) c.findPath();
      void this.history.refresh();
    }
    this.changed();
  }

  #refused(e: UnRegisteredEvent): void {
    const status = e.response?.status_code ?? 0;
    if (status === 401 || status === 407 || status === 403 || status === 404) {
      if (this.running().length === 0) {
        const words = status === 403 ? 'The gateway doesn’t let this user in.' : 'The user name or the password is wrong.';
        this.logout({ about: status === 403 ? 'refused' : 'password', words });
        return;
      }
    }
    if (this.line === 'ready') this.line = 'away';
    const after = status === 503 || status === 429 ? retryAfter(e.response?.getHeader('Retry-After')) : undefined;
    if (after !== undefined) this.problem = { about: 'busy', words: heldOff(after) };
    else if (status) this.problem = { about: 'away', words: `The gateway refuses the registration: ${statusWords(status)}. Trying again…` };
    else this.problem = { about: 'away', words: awayWords };
    this.changed();
    const turn = this.#turn;
    clearTimeout(this.#retry);
    this.#retry = window.setTimeout(() => {
      if (turn !== this.#turn || !this.#ua) return;
      if (!this.#ua.isConnected()) return; // JsSIP connects and registers by itself
      if (status) this.#ua.register();
      else this.#drop();
    }, Math.max(backOff(++this.#failures), (after ?? 0) * 1000));
  }

  /** Gives up a WebSocket over which nothing comes back; JsSIP opens another. */
  #drop(): void {
    const socket = this.#socket as unknown as
      | { disconnect(): void; ondisconnect(error: boolean, code?: number, reason?: string): void }
      | undefined;
    socket?.disconnect();
    socket?.ondisconnect(true, 1006, 'no answer');
  }

  #incoming(e: IncomingRTCSessionEvent): void {
    const call = new Call(e.session, this.audio, this.#account?.user ?? '');
    if (this.running().length >= mostCalls) {
      call.busy();
      return;
    }
    // An ended call makes room; a running one stays in front.
    this.calls = this.running();
    this.#add(call, this.calls.length > 0);
  }

  #add(call: Call, behind = false): void {
    call.reachable = () => this.#ua?.isConnected() === true;
    call.onEnded = () => {
      this.history.add(call.record());
      this.calls = [...this.running(), ...this.calls.filter((c) => c.state === 'ended')];
      setTimeout(() => this.dismiss(call), endedFor);
      this.changed();
      this.#sound();
    };
    call.subscribe(() => {
      this.#sound();
      this.changed();
    });
    const others = this.running().filter((c) => c !== call);
    this.calls = behind ? [...others, call] : [call, ...others];
    this.changed();
    this.#sound();
  }

  #tone: Tone = 'quiet';

  /** Plays the tone that the calls' states ask for. */
  #sound(): void {
    const running = this.running();
    const waits = running.some((c) => c.state === 'incoming');
    let tone: Tone = 'quiet';
    if (waits) tone = running.some((c) => c.state !== 'incoming') ? 'knock' : 'ring';
    else if (running.some((c) => c.state === 'ringing')) tone = 'ringback';
    if (tone === this.#tone) return;
    this.#tone = tone;
    this.audio[tone]();
  }

  async #holdOthers(but?: Call): Promise<void> {
    await Promise.all(this.calls.filter((c) => c !== but && c.talking && !c.held).map((c) => c.hold(true)));
  }

  async #microphone(): Promise<MediaStream | undefined> {
    try {
      return await this.audio.open();
    } catch (err) {
      this.#fail('microphone', microphoneWords[err instanceof MicrophoneError ? err.problem : 'failed']);
      return undefined;
    }
  }

  /** TURN credentials live for a short time: old ones are renewed first, within the time of one request. */
  async #configuration(): Promise<RTCConfiguration> {
    if (this.#account && this.#account.ice.length > 0 && performance.now() - this.#accountAt > renewAfter) await this.#renew();
    return { iceServers: this.#account?.ice ?? [], bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' };
  }

  async #renew(): Promise<string | undefined> {
    const turn = this.#turn;
    if (!this.#account) return undefined;
    try {
      const fresh = await api.login(this.user, this.#password);
      if (turn !== this.#turn) return undefined;
      this.#account = fresh;
      this.#accountAt = performance.now();
      return fresh.token;
    } catch {
      return undefined; // the old credentials may still do
    }
  }

  #fail(about: Problem['about'], words: string): false {
    this.problem = { about, words };
    this.changed();
    return false;
  }
}

function hostOf(uri: string): string {
  return /@([^;>?]+)/.exec(uri)?.[1] ?? location.hostname;
}

/** Milliseconds before an attempt: 1, 2, 4, … 30 s, each up to a half longer, so that not all come at once. */
function backOff(attempt: number): number {
  return Math.min(30_000, 1000 * 2 ** (attempt - 1)) * (1 + Math.random() / 2);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
