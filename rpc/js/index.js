'use strict'
// Module telephony 0.1.0. Made of telephony.kmd.json: go test ./cmd/patchbay -run TestTelephonyModule -update.

const { remoteClass, register, enumeration } = require('./remote')
const core = require('kurento-client-core')

Object.defineProperty(exports, 'name', { value: 'telephony' })
Object.defineProperty(exports, 'version', { value: '0.1.0' })

exports.abstracts = {}
exports.complexTypes = {}

exports.complexTypes.CallLeg = register('telephony', 'CallLeg', core.complexTypes.ComplexType, ['leg', 'role', 'kind', 'user', 'trunk', 'sipCallId', 'fromUri', 'toUri', 'codec', 'answerTime', 'endTime', 'cause', 'sipStatus', 'text', 'hungUp'])

exports.complexTypes.CallRecord = register('telephony', 'CallRecord', core.complexTypes.ComplexType, ['callId', 'linkedId', 'state', 'direction', 'origin', 'sessionId', 'app', 'user', 'trunk', 'route', 'from', 'to', 'setupTime', 'answerTime', 'endTime', 'ringMs', 'durationMs', 'billMs', 'endedBy', 'cause', 'sipStatus', 'text', 'attempts', 'transcoded', 'incomplete', 'legs'])

exports.complexTypes.CdrFilter = register('telephony', 'CdrFilter', core.complexTypes.ComplexType, ['from', 'to', 'user', 'trunk', 'number', 'state', 'cause', 'sipStatus', 'limit'])

exports.complexTypes.LiveCall = register('telephony', 'LiveCall', core.complexTypes.ComplexType, ['callId', 'source', 'to', 'app', 'since'])

exports.complexTypes.PortLevel = register('telephony', 'PortLevel', core.complexTypes.ComplexType, ['port', 'level'])

exports.complexTypes.Report = register('telephony', 'Report', core.complexTypes.ComplexType, ['report', 'from', 'to', 'zone', 'source', 'columns', 'rows', 'total', 'truncated'])

exports.complexTypes.ReportColumn = register('telephony', 'ReportColumn', core.complexTypes.ComplexType, ['name', 'kind', 'title'])

exports.complexTypes.ReportQuery = register('telephony', 'ReportQuery', core.complexTypes.ComplexType, ['from', 'to', 'zone', 'by', 'direction', 'trunk', 'account', 'destination', 'codec', 'cause', 'order', 'limit', 'step', 'source'])

exports.complexTypes.ReportRow = register('telephony', 'ReportRow', core.complexTypes.ComplexType, ['values'])

exports.complexTypes.SipCallState = enumeration(['IDLE', 'OFFERED', 'DIALING', 'RINGING', 'EARLY_MEDIA', 'ANSWERED', 'ENDED'])

exports.complexTypes.SipHeader = register('telephony', 'SipHeader', core.complexTypes.ComplexType, ['name', 'value'])

exports.complexTypes.SipRegistration = register('telephony', 'SipRegistration', core.complexTypes.ComplexType, ['user', 'online'])

exports.complexTypes.SipTrunk = register('telephony', 'SipTrunk', core.complexTypes.ComplexType, ['id', 'state', 'up', 'calls', 'error', 'expires'])

exports.complexTypes.StreamState = enumeration(['IDLE', 'OPEN', 'STOPPED'])

// A phone call as a media element: it dials, or takes a call that the manager's event IncomingCall told of. Releasing it hangs up.
exports.SipEndpoint = remoteClass('SipEndpoint', core.abstracts.Endpoint, {
  constructorParams: {
    mediaPipeline: { type: 'kurento.MediaPipeline', required: true },
    callId: { type: 'String' },
    app: { type: 'String' },
    user: { type: 'String' },
    trunk: { type: 'String' },
    callerId: { type: 'String' },
    callerName: { type: 'String' },
    codecs: { type: 'String', isArray: true },
    ringTimeout: { type: 'int' },
    onSessionLost: { type: 'int' }
  },
  methods: [
    ['getState', []],
    ['getCallId', []],
    ['getRemoteNumber', []],
    ['getHeld', []],
    ['getHeldByPeer', []],
    ['getOnSessionLost', []],
    ['setOnSessionLost', ['onSessionLost']],
    ['dial', ['to', 'headers']],
    ['progress', ['earlyMedia']],
    ['accept', []],
    ['reject', ['sipStatus', 'reason']],
    ['hold', []],
    ['resume', []],
    ['transfer', ['to']],
    ['transferTo', ['other']],
    ['sendDtmf', ['digits']],
    ['hangup', ['cause', 'reason']]
  ],
  events: ['Ringing', 'EarlyMedia', 'Answered', 'DtmfReceived', 'Held', 'Resumed', 'Transferred', 'MediaLost', 'Ended']
})

// Sends what it hears to a WebSocket server and plays what that sends: voice agents, transcription.
exports.StreamEndpoint = remoteClass('StreamEndpoint', core.abstracts.Endpoint, {
  constructorParams: {
    mediaPipeline: { type: 'kurento.MediaPipeline', required: true },
    url: { type: 'String', required: true },
    encoding: { type: 'String' },
    rate: { type: 'int' },
    binary: { type: 'boolean' },
    token: { type: 'String' },
    parameters: { type: 'Object' }
  },
  methods: [
    ['getState', []],
    ['start', []],
    ['stop', ['reason']]
  ],
  events: ['StreamStarted', 'StreamStopped', 'MarkPlayed']
})

// Takes the calls that are routed to an application. TelephonyManager's listen makes it; releasing it ends that.
exports.SipListener = remoteClass('SipListener', core.abstracts.MediaObject, {
  constructorParams: {
    app: { type: 'String', required: true }
  },
  methods: [
    ['getApp', []]
  ],
  events: ['IncomingCall']
})

// Trunks, registrations, applications, running calls and records of the client's tenant. There is one: manager_TelephonyManager.
exports.abstracts.TelephonyManager = remoteClass('TelephonyManager', core.abstracts.MediaObject, {
  constructorParams: {},
  methods: [
    ['getTrunks', []],
    ['getRegistrations', []],
    ['getApps', []],
    ['getLiveCalls', []],
    ['listen', ['app'], true],
    ['cdr', ['filter']],
    ['report', ['name', 'query']]
  ],
  events: ['IncomingCall', 'TrunkStateChanged', 'RegistrationStateChanged']
})

// Sends back what it receives.
exports.Echo = remoteClass('Echo', core.abstracts.MediaElement, {
  constructorParams: {
    mediaPipeline: { type: 'kurento.MediaPipeline', required: true },
    events: { type: 'boolean' }
  },
  methods: [
  ],
  events: []
})

// Sends a sine.
exports.Tone = remoteClass('Tone', core.abstracts.MediaElement, {
  constructorParams: {
    mediaPipeline: { type: 'kurento.MediaPipeline', required: true },
    hz: { type: 'double', required: true },
    level: { type: 'double' },
    duration: { type: 'int' }
  },
  methods: [
    ['start', []]
  ],
  events: ['EndOfStream']
})

// Mixes the audio of all ports: each hears all others, at the highest rate that any of them has.
exports.AudioMixer = remoteClass('AudioMixer', core.abstracts.Hub, {
  constructorParams: {
    mediaPipeline: { type: 'kurento.MediaPipeline', required: true }
  },
  methods: [
    ['getActiveSpeaker', []],
    ['getSampleRate', []],
    ['getLevels', []]
  ],
  events: ['ActiveSpeakerChanged']
})
