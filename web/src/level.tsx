import { useEffect, useRef } from 'preact/hooks';

const every = 100; // ms

/** Level is a bar that follows a loudness of 0 to 1, read ten times a second without rendering the page anew. */
export function Level({ id, label, read }: { id: string; label: string; read(): number }) {
  const bar = useRef<HTMLDivElement>(null);
  const source = useRef(read);
  source.current = read;
  useEffect(() => {
    let level = 0;
    const timer = setInterval(() => {
      const now = source.current();
      level = now > level ? now : Math.max(now, level - 0.12); // rises at once, falls in a second
      const percent = Math.round(level * 100);
      const at = bar.current;
      if (!at || at.dataset.level === String(percent)) return;
      at.dataset.level = String(percent);
      at.setAttribute('aria-valuenow', String(percent));
      at.style.setProperty('--level', String(level));
    }, every);
    return () => clearInterval(timer);
  }, []);
  return (
    <div class="level">
      <span class="level-label">{label}</span>
      <div class="level-bar" id={id} ref={bar} role="meter" aria-label={`Loudness: ${label}`} aria-valuemin={0} aria-valuemax={100} aria-valuenow={0} data-level="0">
        <div class="level-fill" />
      </div>
    </div>
  );
}
