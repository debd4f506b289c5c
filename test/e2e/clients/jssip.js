// A telephone on JsSIP as it comes from its package.
import { UA, WebSocketInterface } from 'jssip';

// A level can be measured only if nobody works on it.
const microphone = { audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false }, video: false };
let ua;

window.client = {
  connection: undefined,

  /** Registers; gives once the registrar has accepted. */
  register({ server, uri, user, password }) {
    ua = new UA({ sockets: [new WebSocketInterface(server)], uri, authorization_user: user, password });
    return new Promise((resolve, reject) => {
      ua.on('registered', () => resolve());
      ua.on('registrationFailed', (e) => reject(new Error(e.cause)));
      ua.on('disconnected', () => reject(new Error('disconnected')));
      ua.start();
    });
  },

  /** Calls; gives once the other side has answered. */
  call(target, player) {
    return new Promise((resolve, reject) => {
      const session = ua.call(target, { mediaConstraints: microphone });
      this.session = session;
      this.connection = session.connection;
      session.connection.addEventListener('track', (e) => { player.srcObject = e.streams[0]; });
      session.on('confirmed', () => resolve());
      session.on('failed', (e) => reject(new Error(e.cause)));
    });
  },

  dtmf(tone) {
    this.session.sendDTMF(tone, { transportType: 'RFC2833' });
  },

  /** Hangs up; gives once the call is over. */
  hangUp() {
    return new Promise((resolve) => {
      this.session.on('ended', () => resolve());
      this.session.terminate();
    });
  },
};
