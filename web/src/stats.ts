import { Loss } from './loss.ts';

/** Quality is how a call's media does, from the browser's own counters. */
export interface Quality {
  /** Name of the codec that is received, "" until a packet came. */
  codec: string;
  /** Clock rate in Hz. */
  clock: number;
  /** Percent of packets lost on the way to us in the last 5 s. */
  loss: number;
  /** Percent of ours lost on the way out, as the gateway reports it; undefined before its first report. */
  lossOut: number | undefined;
  /** Round trip in ms; undefined before the gateway's first report. */
  roundTrip: number | undefined;
  /** Interarrival jitter in ms. */
  jitter: number;
  /** How loud the other side is, 0 to 1. */
  heard: number;
  /** Milliseconds without a packet, up to 5,000. */
  silent: number;
}

/** Meter reads a connection's quality. One per call. */
export class Meter {
  readonly #loss = new Loss();

  async read(connection: RTCPeerConnection): Promise<Quality | undefined> {
    const report = await connection.getStats();
    let inbound: RTCInboundRtpStreamStats | undefined;
    let remote: (RTCStats & { fractionLost?: number; roundTripTime?: number; kind?: string }) | undefined;
    report.forEach((s: RTCStats) => {
      if (s.type === 'inbound-rtp' && (s as RTCInboundRtpStreamStats).kind === 'audio') {
        // After a change of the source there are two: the one that received last is the live one.
        const candidate = s as RTCInboundRtpStreamStats;
        if (!inbound || stamp(candidate) >= stamp(inbound)) inbound = candidate;
      }
      if (s.type === 'remote-inbound-rtp') remote = s;
    });
    if (!inbound) return undefined;
    const codec = inbound.codecId ? (report.get(inbound.codecId) as { mimeType?: string; clockRate?: number }) : undefined;
    this.#loss.add(performance.now(), inbound.packetsReceived ?? 0, inbound.packetsLost ?? 0);
    return {
      codec: (codec?.mimeType ?? '').replace(/^audio\//i, ''),
      clock: codec?.clockRate ?? 0,
      loss: this.#loss.percent(),
      lossOut: remote?.fractionLost === undefined ? undefined : remote.fractionLost * 100,
      roundTrip: remote?.roundTripTime === undefined ? undefined : remote.roundTripTime * 1000,
      jitter: (inbound.jitter ?? 0) * 1000,
      heard: inbound.audioLevel ?? 0,
      silent: this.#loss.silent(),
    };
  }
}

function stamp(s: RTCInboundRtpStreamStats): number {
  return s.lastPacketReceivedTimestamp ?? 0;
}
