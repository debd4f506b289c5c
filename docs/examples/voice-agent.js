'use strict'

// Takes calls as a voice agent does: each call is a WebSocket. It greets with a tone, then says back what it hears. The digit 1
// interrupts it, 2 has the caller speak with a human instead (HUMAN, a number), 9 ends the call. In Patchbay's settings:
//
//   apps: [{id: agent, stream: {url: "ws://127.0.0.1:8090/"}}]
//   routes: [{id: to-agent, number: "750", to: [app: agent]}]

const { WebSocketServer } = require('ws')

const host = process.env.HOST || '127.0.0.1'
const port = Number(process.env.PORT || 8090)
const human = process.env.HUMAN
const token = process.env.AGENT_TOKEN // as apps[].stream.token has it

// tone is linear PCM of 16 bits, least significant byte first.
function tone(rate, hz, seconds) {
  const out = Buffer.alloc(2 * rate * seconds)
  for (let i = 0; i < rate * seconds; i++) {
    out.writeInt16LE(Math.round(10362 * Math.sin((2 * Math.PI * hz * i) / rate)), 2 * i)
  }
  return out.toString('base64')
}

const server = new WebSocketServer({
  host,
  port,
  verifyClient: ({ req }) => !token || req.headers.authorization === `Bearer ${token}`,
})

server.on('listening', () => console.log(`listening on ws://${host}:${port}/`))
server.on('connection', (ws) => {
  const say = (event, more) => ws.send(JSON.stringify({ event, ...more }))
  let echo = false
  ws.on('error', (err) => console.log(`connection: ${err.message}`))
  ws.on('message', (data) => {
    const m = JSON.parse(data)
    switch (m.event) {
      case 'start':
        console.log(`call from ${m.call.from} to ${m.call.to}`)
        say('media', { payload: tone(m.media.rate, 660, 2) })
        say('mark', { name: 'greeted' }) // comes back when the tone has been played
        break
      case 'mark':
        echo = m.name === 'greeted' && !m.cleared
        break
      case 'media':
        if (echo) say('media', { payload: m.payload })
        break
      case 'dtmf':
        console.log(`digit ${m.digit}`)
        if (m.digit === '1') say('clear')
        if (m.digit === '2' && human) say('transfer', { to: human })
        if (m.digit === '9') say('stop', { reason: 'the caller pressed 9' })
        break
      case 'transfer':
        console.log(`transferred: ${m.status} ${m.reason}`)
        break
      case 'error':
        console.log(`Patchbay says: ${m.message}`)
        break
      case 'stop':
        console.log(`ended: ${m.reason}`)
        break
    }
  })
})
