'use strict'

// Connects to Patchbay with the stock kurento-client, and says clearly why it can't.
//
//   PATCHBAY_URL    where Patchbay is; ws://127.0.0.1:8888/kurento if it isn't set
//   PATCHBAY_TOKEN  the token of your application; not needed on the same host as long as no tokens are configured

const kurento = require('kurento-client')
const WebSocket = require('ws')

kurento.register(require('kurento-client-telephony')) // SipEndpoint, TelephonyManager and their like

const url = process.env.PATCHBAY_URL || 'ws://127.0.0.1:8888/kurento'
const token = process.env.PATCHBAY_TOKEN

// connect gives a client. kurento-client itself tries to connect for ever and doesn't tell what is wrong, so one
// connection is made first for its answer alone.
async function connect() {
  await probe()
  // options.access_token becomes ?access_token=… of the URL, the only place in which kurento-client can send a token.
  const client = await kurento(url, token ? { access_token: token } : {})

  // kurento-client reconnects by itself. Within the time that Patchbay keeps a session all objects are still there.
  client.on('reconnected', same => {
    console.log(same ? 'reconnected, all calls are as they were' : 'reconnected, but the old session has gone: its calls have ended')
  })
  return client
}

function probe() {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { headers: token ? { Authorization: `Bearer ${token}` } : {}, handshakeTimeout: 10000 })
    socket.on('open', () => { socket.close(); resolve() })
    socket.on('error', e => reject(new Error(`can't reach Patchbay at ${url}: ${e.message}`)))
    socket.on('unexpected-response', (request, response) => {
      let text = ''
      response.on('data', part => { text += part })
      response.on('end', () => reject(new Error(`Patchbay at ${url} refuses: ${response.statusCode} ${reason(text)}` +
        (token ? '' : ' (PATCHBAY_TOKEN is not set)'))))
    })
  })
}

function reason(text) {
  try {
    return JSON.parse(text).error
  } catch {
    return text.trim()
  }
}

// on has an event handled by a function that may be async. What fails there is told, and ends nothing else.
function on(object, event, handler) {
  object.on(event, async data => {
    try {
      await handler(data)
    } catch (error) {
      console.error(`${event}: ${describe(error)}`)
    }
  })
}

// until waits for an event.
function until(object, event) {
  return new Promise(resolve => object.once(event, resolve))
}

// run is the frame of each example: what fails is said in one line.
function run(main) {
  main().catch(error => {
    console.error(describe(error))
    process.exit(1)
  })
}

// describe puts what went wrong into words: errors of Patchbay have a code and a type.
function describe(error) {
  const type = error.data && error.data.type
  return type ? `${error.message} (${type}, ${error.code})` : error.message || String(error)
}

module.exports = { connect, on, until, run, describe, kurento }
