'use strict'

// The WebSocket stream of kurento-client, which reconnects: in place of the package reconnect-ws 0.1.0, with the same API.
//
// kurento-client keeps the emitter of its connection to itself and listens to no errors of it. With reconnect-ws 0.1.0 the
// first connection that is refused ends the program ("Unhandled 'error' event"): each restart of the server would. Here what
// fails is tried again, with a growing delay (0.1 to 10 s), as long as the client is open.

const reconnect = require('reconnect-core')
const websocket = require('websocket-stream')

const make = reconnect(function (...args) {
  const stream = websocket(...args)
  // reconnect-core listens for the first error alone; a socket that is refused may tell more of them.
  stream.on('error', () => {})
  // What was written and not sent yet goes out on the next connection.
  if (this.last?._buffer) stream._buffer = this.last._buffer
  this.last = stream
  return stream
})

module.exports = (options, onConnect) => {
  const emitter = make(options, onConnect)
  emitter.on('error', () => {}) // a disconnection, and another attempt, follow by themselves
  return emitter
}
