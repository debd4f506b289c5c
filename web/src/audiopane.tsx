import { useEffect, useState } from 'preact/hooks';
import { closeStream, MicrophoneError, microphoneWords, type Audio } from './audio.ts';
import { Level } from './level.tsx';
import { useStore } from './store.ts';

/** AudioPane is the choice of devices, and a test of the microphone outside calls. */
export function AudioPane({ audio, inCall }: { audio: Audio; inCall: boolean }) {
  useStore(audio);
  return (
    <section class="pane card audio" aria-labelledby="audio-title" data-testid="audio">
      <header class="pane-head">
        <h2 id="audio-title">Audio</h2>
      </header>
      <div class="audio-grid">
        <Devices
          id="microphone"
          label="Microphone"
          devices={audio.microphones}
          chosen={audio.microphone}
          choose={(microphone) => audio.choose({ microphone })}
        />
        {audio.canChooseSpeaker ? (
          <Devices id="speaker" label="Speaker" devices={audio.speakers} chosen={audio.speaker} choose={(speaker) => audio.choose({ speaker })} />
        ) : (
          <p class="hint">This browser plays over the system’s speaker.</p>
        )}
        <label class="switch">
          <input id="echo" type="checkbox" role="switch" checked={audio.echo} onChange={(e) => audio.choose({ echo: e.currentTarget.checked })} />
          <span class="switch-face" aria-hidden="true" />
          <span>
            Echo cancellation
            <small>With noise reduction and automatic level. Off for headsets that do it themselves.</small>
          </span>
        </label>
        {!inCall && <Test audio={audio} />}
      </div>
    </section>
  );
}

function Devices(p: { id: string; label: string; devices: MediaDeviceInfo[]; chosen: string; choose(id: string): void }) {
  const gone = p.chosen !== '' && !p.devices.some((d) => d.deviceId === p.chosen);
  return (
    <label class="field">
      <span>{p.label}</span>
      <select id={p.id} value={p.chosen} onChange={(e) => p.choose(e.currentTarget.value)}>
        <option value="">System default</option>
        {p.devices.map((d) => (
          <option key={d.deviceId} value={d.deviceId}>
            {d.label}
          </option>
        ))}
        {gone && <option value={p.chosen}>Chosen device, not plugged in</option>}
      </select>
    </label>
  );
}

/** Opens the microphone for as long as the person wants to see its level. */
function Test({ audio }: { audio: Audio }) {
  const [on, setOn] = useState(false);
  const [read, setRead] = useState<() => number>(() => () => 0);
  const [problem, setProblem] = useState('');

  useEffect(() => {
    if (!on) return;
    let over = false;
    let close = () => {};
    setProblem('');
    audio.open().then(
      (stream) => {
        if (over) return closeStream(stream);
        const level = audio.level(stream);
        setRead(() => level.read);
        close = () => {
          level.stop();
          closeStream(stream);
        };
        void audio.list(); // devices have names once the microphone was allowed
      },
      (err: unknown) => {
        if (over) return;
        setOn(false);
        setProblem(microphoneWords[err instanceof MicrophoneError ? err.problem : 'failed']);
      },
    );
    return () => {
      over = true;
      close();
      setRead(() => () => 0);
    };
  }, [on, audio, audio.microphone, audio.echo]);

  return (
    <div class="test">
      <button type="button" id="test-microphone" class="plain" aria-pressed={on} onClick={() => setOn(!on)}>
        {on ? 'Stop the test' : 'Test the microphone'}
      </button>
      {on && <Level id="test-level" label="You" read={read} />}
      {problem && <p class="warn" role="alert" data-testid="test-problem">{problem}</p>}
    </div>
  );
}
