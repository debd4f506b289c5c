import type { EndEvent, IncomingDTMFEvent, OutgoingEvent, RTCSession } from 'jssip/lib/RTCSession';
import type { CallRecord } from './api.ts';
import { closeStream, type Audio } from './audio.ts';
import { shown } from './number.ts';
import { Meter, type Quality } from './stats.ts';
import { Store } from './store.ts';
import { ending, reason } from './words.ts';

/**
 * dialing: nothing heard of the other side yet; ringing: it rings; early: it speaks before it answers (announcements);
 * incoming: it rings here; answering: accepted, not yet through; talking; ended.
 */
export type CallState = 'dialing' | 'ringing' | 'early' | 'incoming' | 'answering' | 'talking' | 'ended';

/** How long the connection may be disturbed before the browser is told to look for another path, in ms. */
const patience = 1500;

/** Call is one call of this telephone, over a session of JsSIP. */
export class Call extends Store {
  readonly id: string;
  readonly direction: 'in' | 'out';
  /** The other party: number or user, and a name if it gave one. */
  readonly peer: string;
  readonly name: string;

  state: CallState;
  muted = false;
  /** We hold the other side, or it holds us. */
  held = false;
  heldByPeer = false;
  /** A hold or resume is on its way. */
  changing = false;
  /** performance.now() of the answer. */
  answeredAt = 0;
  /** Why it ended, in words. */
  ending = '';
  quality: Quality | undefined;
  /** The digits that the other side sent. */
  received = '';
  /** The other side's sound waits for a person's touch. */
  blocked = false;
  /** What the microphone hears, 0 to 1; asked for often. */
  readLevel: () => number = () => 0;
  /** Called once, when the call has ended. */
  onEnded: () => void = () => {};
  /** Whether the gateway can be reached: a re-offer that can't be sent would end the call. */
  reachable: () => boolean = () => true;

  readonly #session: RTCSession;
  readonly #audio: Audio;
  readonly #from: string;
  readonly #to: string;
  readonly #started = new Date();
  #answered: Date | undefined;
  #status = 0;
  #player: HTMLAudioElement | undefined;
  #microphone: MediaStream | undefined;
  #level: { read(): number; stop(): void } | undefined;
  #timers: number[] = [];
  #unsubscribe = () => {};
  #devices = '';

  constructor(session: RTCSession, audio: Audio, self: string, dialled?: string) {
    super();
    this.#session = session;
    this.#audio = audio;
    this.id = session.id;
    this.direction = dialled === undefined ? 'in' : 'out';
    const party = session.remote_identity;
    this.peer = dialled ?? (shown(party.uri.toString()) || 'anonymous');
    this.name = dialled === undefined && party.display_name ? party.display_name : '';
    [this.#from, this.#to] = this.direction === 'in' ? [this.peer, self] : [self, this.peer];
    this.state = this.direction === 'in' ? 'incoming' : 'dialing';
    this.#listen();
  }

  get talking(): boolean {
    return this.state === 'talking';
  }

  /** The session has a connection from here on: of our own call at once, of an incoming one when it is accepted. */
  connect(microphone: MediaStream): void {
    if (this.state === 'ended') {
      closeStream(microphone);
      return;
    }
    const connection = this.#session.connection;
    connection.addEventListener('track', (e) => {
      if (e.track.kind === 'audio') this.#play(e.streams[0] ?? new MediaStream([e.track]));
    });
    connection.addEventListener('iceconnectionstatechange', () => this.#pathChanged(connection));
    this.#take(microphone);
    this.#devices = this.#chosen();
    this.#unsubscribe = this.#audio.subscribe(() => void this.#devicesChanged());
    const meter = new Meter();
    this.#timers.push(window.setInterval(() => void this.#measure(meter, connection), 1000));
  }

  /** Accepts an incoming call. */
  answer(microphone: MediaStream, configuration: RTCConfiguration): void {
    if (this.state !== 'incoming') {
      closeStream(microphone);
      return;
    }
    this.#become('answering');
    this.#session.answer({ mediaStream: microphone, pcConfig: configuration });
    this.connect(microphone);
  }

  /** Declines an incoming call: all telephones of this user stop ringing. */
  decline(): void {
    this.#terminate({ status_code: 603, reason_phrase: 'Decline' });
  }

  /** Refuses an incoming call here; the user's other telephones go on ringing. */
  busy(): void {
    this.#terminate({ status_code: 486, reason_phrase: 'Busy Here' });
  }

  hangUp(): void {
    if (this.state === 'incoming') this.decline();
    else this.#terminate();
  }

  mute(on: boolean): void {
    this.muted = on;
    if (on) this.#session.mute({ audio: true });
    else this.#session.unmute({ audio: true });
    this.changed();
  }

  /** Holds or resumes. Gives false if it can't be done now. */
  hold(on: boolean): Promise<boolean> {
    if (!this.talking || this.changing || !this.reachable()) return Promise.resolve(false);
    if (on === this.held) return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = (done: boolean) => {
        clearTimeout(timer);
        this.changing = false;
        this.changed();
        resolve(done);
      };
      const timer = window.setTimeout(() => settle(false), 10_000);
      this.changing = true;
      const sent = on ? this.#session.hold({}, () => settle(true)) : this.#session.unhold({}, () => settle(true));
      if (sent) this.held = on;
      else settle(false);
      this.changed();
    });
  }

  /** Sends a digit: as RFC 4733 events if the other side takes them, else by INFO. */
  dtmf(tone: string): void {
    if ((!this.talking && this.state !== 'early') || this.held || !/^[0-9*#A-D]$/.test(tone)) return;
    this.#audio.key(tone);
    const sender = this.#session.connection
      ?.getSenders()
      .find((s) => s.track?.kind === 'audio' && s.dtmf?.canInsertDTMF);
    if (sender?.dtmf) sender.dtmf.insertDTMF(sender.dtmf.toneBuffer + tone, 100, 70);
    else if (this.reachable()) this.#session.sendDTMF(tone, { duration: 100, interToneGap: 70 });
  }

  /** Looks for another path to the gateway: after the computer's network has changed. */
  findPath(): void {
    const connection = this.#session.connection;
    if (!this.talking || !connection || !this.reachable() || !this.#session.isReadyToReOffer()) return;
    if (['connected', 'completed'].includes(connection.iceConnectionState)) return;
    this.#session.renegotiate({ rtcOfferConstraints: { iceRestart: true } });
  }

  /** Plays what the browser held back until a person touched the page. */
  unblock(): void {
    void this.#player?.play().then(
      () => {
        this.blocked = false;
        this.changed();
      },
      () => {},
    );
  }

  /** Seconds of talk so far. */
  seconds(): number {
    return this.answeredAt === 0 ? 0 : Math.floor((performance.now() - this.answeredAt) / 1000);
  }

  /** What this browser saw of the call. */
  record(): CallRecord {
    const now = new Date();
    return {
      id: this.id,
      from: this.#from,
      to: this.#to,
      direction: this.direction,
      startedAt: this.#started.toISOString(),
      answeredAt: this.#answered?.toISOString() ?? null,
      endedAt: now.toISOString(),
      durationMs: this.answeredAt === 0 ? 0 : Math.round(performance.now() - this.answeredAt),
      cause: this.ending,
      sip: this.#status || null,
      codec: this.quality?.codec || null,
    };
  }

  #listen(): void {
    const s = this.#session;
    s.on('progress', (e: unknown) => {
      if (this.direction === 'in' || this.state === 'ended') return;
      const response = (e as OutgoingEvent).response;
      if (response.body) this.#become('early');
      else if (this.state === 'dialing') this.#become('ringing');
    });
    s.on('accepted', () => {
      this.answeredAt = performance.now();
      this.#answered = new Date();
      this.#become('talking');
    });
    s.on('hold', (e) => this.#holdChanged(e.originator === 'remote', true));
    s.on('unhold', (e) => this.#holdChanged(e.originator === 'remote', false));
    s.on('newDTMF', (e: unknown) => {
      const event = e as IncomingDTMFEvent;
      if ((event.originator as string) !== 'remote') return;
      this.received = (this.received + event.dtmf.tone).slice(-32);
      this.changed();
    });
    s.on('icecandidate', (e) => {
      // The gateway needs no candidate of ours, not even a relayed one: it answers the checks that reach it, from wherever they
      // come. So nothing is waited for; what is found later is checked all the same.
      e.ready();
    });
    s.on('failed', (e) => this.#ended(e));
    s.on('ended', (e) => this.#ended(e));
  }

  #holdChanged(remote: boolean, on: boolean): void {
    if (remote) this.heldByPeer = on;
    else this.held = on;
    this.changed();
  }

  #become(state: CallState): void {
    if (this.state === 'ended' || this.state === state) return;
    this.state = state;
    this.changed();
  }

  #terminate(options?: { status_code: number; reason_phrase: string }): void {
    if (this.state === 'ended') return;
    try {
      this.#session.terminate(options);
    } catch {
      // Already ending: its event comes.
    }
  }

  #ended(e: EndEvent): void {
    if (this.state === 'ended') return;
    const message = e.message as { status_code?: number; getHeader(name: string): string | undefined } | null;
    this.#status = message?.status_code ?? 0;
    const header = typeof message?.getHeader === 'function' ? message.getHeader('Reason') : undefined;
    const local = (e.originator as string) === 'local';
    this.ending = words(e, this.#status, header, local, this);
    this.state = 'ended';
    this.#release();
    this.changed();
    this.onEnded();
  }

  #release(): void {
    for (const t of this.#timers) clearInterval(t);
    this.#timers = [];
    this.#unsubscribe();
    this.#level?.stop();
    this.#level = undefined;
    this.readLevel = () => 0;
    closeStream(this.#microphone);
    this.#microphone = undefined;
    if (this.#player) {
      this.#player.srcObject = null;
      this.#player.remove();
      this.#player = undefined;
    }
  }

  #play(stream: MediaStream): void {
    if (this.state === 'ended') return;
    if (!this.#player) {
      this.#player = document.createElement('audio');
      this.#player.autoplay = true;
      this.#player.hidden = true;
      document.body.append(this.#player);
      void this.#audio.sink(this.#player);
    }
    if (this.#player.srcObject === stream) return;
    this.#player.srcObject = stream;
    this.#player.play().catch((err: unknown) => {
      if (!(err instanceof Error) || err.name !== 'NotAllowedError') return;
      this.blocked = true;
      this.changed();
    });
  }

  #take(microphone: MediaStream): void {
    this.#level?.stop();
    this.#microphone = microphone;
    const level = this.#audio.level(microphone);
    this.#level = level;
    this.readLevel = () => level.read();
    // The device was pulled out: take what there is now.
    microphone.getAudioTracks()[0]?.addEventListener('ended', () => {
      if (this.#microphone === microphone) void this.#replace();
    });
  }

  #chosen(): string {
    return `${this.#audio.microphone} ${this.#audio.echo}`;
  }

  async #devicesChanged(): Promise<void> {
    if (this.#player) void this.#audio.sink(this.#player);
    if (this.#devices === this.#chosen()) return;
    this.#devices = this.#chosen();
    await this.#replace();
  }

  async #replace(): Promise<void> {
    let fresh: MediaStream;
    try {
      fresh = await this.#audio.open();
    } catch {
      return; // what there was goes on
    }
    const track = fresh.getAudioTracks()[0];
    const sender = this.#session.connection?.getSenders().find((s) => s.track?.kind === 'audio');
    if (this.state === 'ended' || !track || !sender?.track) {
      closeStream(fresh);
      return;
    }
    track.enabled = sender.track.enabled;
    const old = this.#microphone;
    await sender.replaceTrack(track);
    this.#take(fresh);
    closeStream(old);
  }

  async #measure(meter: Meter, connection: RTCPeerConnection): Promise<void> {
    if (connection.signalingState === 'closed') return;
    const quality = await meter.read(connection);
    if ((this.state as CallState) === 'ended' || !quality) return;
    this.quality = quality;
    this.changed();
  }

  #pathChanged(connection: RTCPeerConnection): void {
    if (connection.iceConnectionState !== 'disconnected') return;
    const timer = window.setTimeout(() => {
      if (connection.iceConnectionState === 'disconnected') this.findPath();
    }, patience);
    this.#timers.push(timer);
  }
}

function words(e: EndEvent, status: number, header: string | undefined, local: boolean, call: Call): string {
  const answered = call.answeredAt !== 0;
  const r = reason(header);
  if (e.cause === 'RTP Timeout') return 'The connection was lost';
  if (e.cause === 'User Denied Media Access') return 'The microphone is blocked';
  if (e.cause === 'WebRTC Error' || e.cause === 'Bad Media Description') return 'The browser and the gateway found no common media';
  if (e.cause === 'Connection Error') return 'The gateway is away';
  if (e.cause === 'Request Timeout') return 'The gateway doesn’t answer';
  if (local && !answered) return call.direction === 'in' ? 'Declined' : 'Cancelled';
  if (!answered && call.direction === 'in') {
    const elsewhere = ending({ reason: r, answered });
    return elsewhere === 'Answered elsewhere' ? elsewhere : 'Missed';
  }
  return ending({ status, reason: r, answered });
}
