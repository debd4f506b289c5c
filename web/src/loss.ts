/** Loss keeps the counters of a received stream for some seconds and tells how much of it was lost in that time. */
export class Loss {
  readonly #window: number;
  #points: { at: number; received: number; lost: number }[] = [];

  /** The window is in milliseconds. */
  constructor(window = 5000) {
    this.#window = window;
  }

  /** Takes the stream's counters at a time in milliseconds. Counters that went back are those of a new stream. */
  add(at: number, received: number, lost: number): void {
    const last = this.#points.at(-1);
    if (last && received < last.received) this.#points = [];
    this.#points.push({ at, received, lost });
    while (this.#points.length > 2 && (this.#points[1]?.at ?? at) <= at - this.#window) this.#points.shift();
  }

  /** Percent lost in the window, 0 to 100. Late packets take loss back, so that it can't be below 0. */
  percent(): number {
    const [first, last] = [this.#points[0], this.#points.at(-1)];
    if (!first || !last) return 0;
    const received = last.received - first.received;
    const lost = Math.max(0, last.lost - first.lost);
    return received + lost > 0 ? (100 * lost) / (received + lost) : 0;
  }

  /** Milliseconds since a packet came, as far as the window reaches; 0 if the last two readings differ. */
  silent(): number {
    const last = this.#points.at(-1);
    if (!last) return 0;
    let since = last.at;
    for (const p of this.#points) {
      if (p.received === last.received) {
        since = p.at;
        break;
      }
    }
    return last.at - since;
  }
}
