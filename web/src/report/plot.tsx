import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import type { Answer } from './ask.ts';
import { axis, curves } from './data.ts';
import type { PlotOf } from './views.ts';
import { grouped, marks, time } from './words.ts';

const height = 220; // CSS pixels

/** A plot over time. Left and right walk along it; what stands at a time is told below its title. */
export function Plot({ answer, of }: { answer: Answer; of: PlotOf }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const box = place.current;
    if (!box) return undefined;
    const dark = matchMedia('(prefers-color-scheme: dark)');
    let plot: uPlot | undefined;
    const draw = () => {
      plot?.destroy();
      plot = new uPlot(options(answer, of, box), curves(answer, of) as uPlot.AlignedData, box);
    };
    draw();
    const resized = new ResizeObserver(() => {
      if (plot && box.clientWidth > 0 && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height });
    });
    resized.observe(box);
    const walk = (e: KeyboardEvent) => plot && step(plot, e);
    box.addEventListener('keydown', walk);
    dark.addEventListener('change', draw);
    return () => {
      box.removeEventListener('keydown', walk);
      dark.removeEventListener('change', draw);
      resized.disconnect();
      plot?.destroy();
    };
  }, [answer, of]);
  return (
    <figure class="card plot" data-plot={of.title}>
      <figcaption>
        {of.title}
        {of.unit && <span class="unit"> {of.unit}</span>}
      </figcaption>
      <div ref={place} class="canvas" tabIndex={0} role="img" aria-label={`${of.title} over time. The table below has the values.`} />
    </figure>
  );
}

function options(answer: Answer, of: PlotOf, box: HTMLElement): uPlot.Options {
  const style = getComputedStyle(box);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const { zone } = answer;
  const value = (v: number | null | undefined) => (v === null || v === undefined ? '–' : `${grouped(String(Math.round(v * 1000) / 1000))}${of.unit && ' ' + of.unit}`);
  const font = `12px ${style.fontFamily}`;
  const axisStyle = { stroke: colour('--soft'), font, grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line'), width: 1, size: 4 } };
  const unit = axis(answer)?.column ?? '';
  return {
    width: Math.max(box.clientWidth, 120),
    height,
    padding: [12, 12, 0, 0],
    tzDate: (s) => uPlot.tzDate(new Date(s * 1000), zone),
    cursor: { y: false, drag: { x: false, y: false, setScale: false }, points: { size: 8 } },
    scales: { x: { time: true, range: (u, least, greatest) => reach(u, least, greatest, of) }, y: { range: (_, least, greatest) => of.bounds ?? reachY(least, greatest) } },
    axes: [
      { ...axisStyle, space: 64, size: 32, values: (_, at, __, ___, apart) => marks(at, apart, zone) },
      { ...axisStyle, size: 56, values: (_, at) => at.map((v) => grouped(String(Math.round(v * 1000) / 1000))) },
    ],
    series: [
      { label: 'Time', value: (_, s) => (s === null || s === undefined ? '–' : time(s * 1000, unit, zone)) },
      ...of.series.map((s, i): uPlot.Series => {
        const stroke = colour(`--series-${i + 1}`);
        return {
          label: s.label,
          stroke,
          width: 2,
          value: (_, v) => value(v),
          spanGaps: false,
          points: { show: (u) => !s.bars && u.data[0].length <= 62, size: 5 },
          ...(s.bars ? { fill: stroke, width: 0, paths: uPlot.paths.bars!({ size: [i === 0 ? 0.8 : 0.4, 48], radius: 0.1 }) } : {}),
          ...(s.dashed ? { dash: [6, 4] } : {}),
        };
      }),
    ],
  };
}

/** The time axis: with room for half a bar at both ends. */
function reach(u: uPlot, least: number, greatest: number, of: PlotOf): [number, number] {
  const x = u.data[0];
  const apart = x.length > 1 ? (greatest - least) / (x.length - 1) : 3600;
  const room = of.series.some((s) => s.bars) || x.length < 2 ? apart / 2 : 0;
  return [least - room, greatest + room];
}

/** An axis of values begins at 0, or below where values do. */
function reachY(least: number | null, greatest: number | null): [number, number] {
  const low = Math.min(0, least ?? 0);
  const high = Math.max(0, greatest ?? 0);
  const room = (high - low || 1) * 0.08;
  return [low < 0 ? low - room : 0, high + room];
}

function step(u: uPlot, e: KeyboardEvent) {
  const last = u.data[0].length - 1;
  const at = u.cursor.idx ?? -1;
  const to = { ArrowLeft: at < 0 ? last : at - 1, ArrowRight: at + 1, Home: 0, End: last }[e.key];
  if (to === undefined || last < 0) return;
  const x = u.data[0][Math.max(0, Math.min(last, to))];
  if (x === undefined) return;
  e.preventDefault();
  u.setCursor({ left: u.valToPos(x, 'x'), top: 1 });
}
