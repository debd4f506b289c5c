// A telephone on SIP.js as it comes from its package.
import { Inviter, Registerer, RegistererState, SessionState, UserAgent } from 'sip.js';

// A level can be measured only if nobody works on it.
const microphone = { audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false }, video: false };
let agent;

/** Gives once a session is in a state; the other end of its life is an error. */
function reached(session, state) {
  return new Promise((resolve, reject) => {
    session.stateChange.addListener((now) => {
      if (now === state) resolve();
      else if (now === SessionState.Terminated) reject(new Error('the call has ended'));
    });
  });
}

window.client = {
  connection: undefined,

  /** Registers; gives once the registrar has accepted. */
  async register({ server, uri, user, password }) {
    agent = new UserAgent({
      uri: UserAgent.makeURI(uri),
      transportOptions: { server },
      authorizationUsername: user,
      authorizationPassword: password,
    });
    await agent.start();
    const registerer = new Registerer(agent);
    await new Promise((resolve, reject) => {
      registerer.stateChange.addListener((s) => { if (s === RegistererState.Registered) resolve(); });
      registerer.register({ requestDelegate: { onReject: (r) => reject(new Error(`${r.message.statusCode}`)) } }).catch(reject);
    });
  },

  /** Calls; gives once the other side has answered. */
  async call(target, player) {
    const session = new Inviter(agent, UserAgent.makeURI(target), {
      sessionDescriptionHandlerOptions: { constraints: microphone },
    });
    this.session = session;
    const answered = reached(session, SessionState.Established);
    await session.invite();
    await answered;
    this.connection = session.sessionDescriptionHandler.peerConnection;
    player.srcObject = session.sessionDescriptionHandler.remoteMediaStream;
  },

  dtmf(tone) {
    this.session.sessionDescriptionHandler.sendDtmf(tone);
  },

  /** Hangs up; gives once the call is over. */
  async hangUp() {
    const over = reached(this.session, SessionState.Terminated);
    await this.session.bye();
    await over;
  },
};
