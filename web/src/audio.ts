import { read, write } from './keep.ts';
import { Store } from './store.ts';

/** Why there is no microphone. */
export type MicrophoneProblem = 'blocked' | 'missing' | 'taken' | 'insecure' | 'failed';

export class MicrophoneError extends Error {
  readonly problem: MicrophoneProblem;
  constructor(problem: MicrophoneProblem, message: string) {
    super(message);
    this.problem = problem;
  }
}

/** What a person can do about it. */
export const microphoneWords: Record<MicrophoneProblem, string> = {
  blocked: 'The microphone is blocked. Allow it for this site beside the browser’s address bar, then try again.',
  missing: 'No microphone was found. Plug one in, then try again.',
  taken: 'Another program holds the microphone. Close that program, then try again.',
  insecure: 'Browsers give the microphone only to pages loaded over HTTPS. Open this page with https:// and try again.',
  failed: 'The microphone could not be opened. Choose another one under Audio, then try again.',
};

interface Choice {
  microphone: string;
  speaker: string;
  echo: boolean;
}

/** Audio holds the user's choice of devices, opens microphones, and plays the telephone's own tones. */
export class Audio extends Store {
  microphones: MediaDeviceInfo[] = [];
  speakers: MediaDeviceInfo[] = [];
  /** Device ids; "" is the system's choice. */
  microphone: string;
  speaker: string;
  /** Echo cancellation, and with it noise reduction and automatic gain. */
  echo: boolean;
  /** The browser lets a page choose the speaker. */
  readonly canChooseSpeaker = 'setSinkId' in HTMLMediaElement.prototype;

  #context: AudioContext | undefined;
  #stopTone: (() => void) | undefined;

  constructor() {
    super();
    const kept = (read('local', 'audio') ?? {}) as Partial<Choice>;
    this.microphone = typeof kept.microphone === 'string' ? kept.microphone : '';
    this.speaker = typeof kept.speaker === 'string' ? kept.speaker : '';
    this.echo = kept.echo !== false;
    // A browser lets a page sound only once a person has touched it.
    const wake = () => void this.#context?.resume();
    addEventListener('pointerdown', wake);
    addEventListener('keydown', wake);
    navigator.mediaDevices?.addEventListener('devicechange', () => void this.list());
    void this.list();
  }

  /** Reads the devices anew. Without the permission for the microphone they have no names, and aren't offered. */
  async list(): Promise<void> {
    let all: MediaDeviceInfo[] = [];
    try {
      all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    } catch {
      // No list: the system's choice remains.
    }
    const named = (kind: MediaDeviceKind) =>
      all.filter((d) => d.kind === kind && d.label !== '' && !['', 'default', 'communications'].includes(d.deviceId));
    this.microphones = named('audioinput');
    this.speakers = named('audiooutput');
    this.changed();
  }

  choose(choice: Partial<Choice>): void {
    this.microphone = choice.microphone ?? this.microphone;
    this.speaker = choice.speaker ?? this.speaker;
    this.echo = choice.echo ?? this.echo;
    write('local', 'audio', { microphone: this.microphone, speaker: this.speaker, echo: this.echo });
    void this.#sinkTones();
    this.changed();
  }

  /** Opens the chosen microphone, or the system's if that one is gone. Throws MicrophoneError. The caller closes it. */
  async open(): Promise<MediaStream> {
    if (!navigator.mediaDevices?.getUserMedia) throw new MicrophoneError('insecure', 'no navigator.mediaDevices');
    const processing = { echoCancellation: this.echo, noiseSuppression: this.echo, autoGainControl: this.echo };
    const get = (device?: ConstrainDOMString) =>
      navigator.mediaDevices.getUserMedia({ audio: device ? { ...processing, deviceId: device } : processing });
    try {
      let stream: MediaStream;
      try {
        stream = await get(this.microphone === '' ? undefined : { exact: this.microphone });
      } catch (err) {
        const gone = this.microphone !== '' && ['OverconstrainedError', 'NotFoundError'].includes(nameOf(err));
        if (!gone) throw err;
        stream = await get();
      }
      if (this.microphones.length === 0) void this.list();
      return stream;
    } catch (err) {
      throw new MicrophoneError(problemOf(nameOf(err)), String(err));
    }
  }

  /** Sends an element's sound to the chosen speaker. A speaker that is gone leaves it where it is. */
  async sink(element: HTMLAudioElement): Promise<void> {
    if (!this.canChooseSpeaker) return;
    try {
      await element.setSinkId(this.speaker);
    } catch {
      // The system's own choice sounds instead.
    }
  }

  /** Tells how loud a stream is: call the returned function for a value of 0 to 1; stop lets go of the stream. */
  level(stream: MediaStream): { read(): number; stop(): void } {
    const context = this.context();
    const source = context.createMediaStreamSource(stream);
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    return {
      read() {
        analyser.getFloatTimeDomainData(samples);
        return loudness(samples);
      },
      stop() {
        source.disconnect();
      },
    };
  }

  /** What the caller hears while the other telephone rings and the network plays nothing: 425 Hz, 1 s of 5. */
  ringback(): void {
    this.#repeat(5000, () => this.#beep([425], 0, 1, 0.06));
  }

  /** What rings here. */
  ring(): void {
    this.#repeat(3200, () => {
      for (const at of [0, 0.5]) {
        this.#beep([587], at, 0.2, 0.12);
        this.#beep([784], at + 0.2, 0.22, 0.12);
      }
    });
  }

  /** Two soft knocks: a second call waits. */
  knock(): void {
    this.#repeat(6000, () => {
      this.#beep([425], 0, 0.15, 0.04);
      this.#beep([425], 0.3, 0.15, 0.04);
    });
  }

  quiet(): void {
    this.#stopTone?.();
    this.#stopTone = undefined;
  }

  /** Lets a person hear the key that was pressed. */
  key(tone: string): void {
    const at = '123A456B789C*0#D'.indexOf(tone);
    if (at < 0) return;
    const [low, high] = [[697, 770, 852, 941][at >> 2], [1209, 1336, 1477, 1633][at & 3]];
    if (low && high) this.#beep([low, high], 0, 0.12, 0.03);
  }

  private context(): AudioContext {
    if (!this.#context) {
      this.#context = new AudioContext({ latencyHint: 'interactive' });
      void this.#sinkTones();
    }
    if (this.#context.state === 'suspended') void this.#context.resume();
    return this.#context;
  }

  async #sinkTones(): Promise<void> {
    const context = this.#context as (AudioContext & { setSinkId?(id: string): Promise<void> }) | undefined;
    try {
      await context?.setSinkId?.(this.speaker);
    } catch {
      // The system's own choice sounds instead.
    }
  }

  #repeat(every: number, play: () => void): void {
    this.quiet();
    // A context that may not sound yet would play all that was missed in one burst.
    const turn = () => {
      if (this.context().state === 'running') play();
    };
    turn();
    const timer = setInterval(turn, every);
    this.#stopTone = () => {
      clearInterval(timer);
      for (const stop of this.#playing) stop();
      this.#playing.clear();
    };
  }

  readonly #playing = new Set<() => void>();

  #beep(tones: number[], delay: number, seconds: number, volume: number): void {
    const context = this.context();
    const from = context.currentTime + delay;
    const gain = context.createGain();
    gain.gain.setValueAtTime(0, from);
    gain.gain.linearRampToValueAtTime(volume, from + 0.01);
    gain.gain.setValueAtTime(volume, from + seconds - 0.02);
    gain.gain.linearRampToValueAtTime(0, from + seconds);
    gain.connect(context.destination);
    for (const hz of tones) {
      const tone = new OscillatorNode(context, { frequency: hz });
      const stop = () => tone.stop();
      this.#playing.add(stop);
      tone.onended = () => {
        this.#playing.delete(stop);
        gain.disconnect();
      };
      tone.connect(gain);
      tone.start(from);
      tone.stop(from + seconds);
    }
  }
}

/** Samples' loudness on a scale that follows the ear: -60 dBFS is 0, -6 dBFS is 1. */
export function loudness(samples: Float32Array): number {
  let sum = 0;
  for (const s of samples) sum += s * s;
  if (sum === 0) return 0;
  const decibels = 10 * Math.log10(sum / samples.length);
  return Math.min(1, Math.max(0, (decibels + 60) / 54));
}

/** A stream's tracks end, and the browser's sign that it listens goes out. */
export function closeStream(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

function nameOf(err: unknown): string {
  return err instanceof Error ? err.name : '';
}

function problemOf(name: string): MicrophoneProblem {
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'blocked';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'missing';
    case 'NotReadableError':
    case 'AbortError':
      return 'taken';
    default:
      return 'failed';
  }
}
