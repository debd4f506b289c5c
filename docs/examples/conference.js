'use strict'

// A conference: who calls the application's number, or opens the page and presses Call, is in the room: node conference.js [FILE]
// A file (of the media folder, or a URL) is played into the room, again and again, while there is somebody to hear it.
//
//   apps:
//     - {id: conference}
//   routes:
//     - {id: to-conference, number: "702", to: [{app: conference}]}

const { connect, on, run } = require('./connect')
const { serve } = require('./server')
const { browserEndpoint, answer } = require('./browser')

run(async () => {
  const client = await connect()
  const file = process.argv[2]
  let pipeline, room, music
  const names = new Map() // of who is in the room, by the ids of their ports

  async function open() {
    pipeline = await client.create('MediaPipeline')
    room = await pipeline.create('AudioMixer')
    names.clear()
    music = file && await player()
    on(room, 'ActiveSpeakerChanged', ({ port }) => port && console.log(`${names.get(port) ?? file} speaks`))
  }

  // enter gives an endpoint a port of the room: what the endpoint has goes in, what all others say comes out.
  async function enter(endpoint, name) {
    const port = await room.createHubPort()
    await endpoint.connect(port, 'AUDIO')
    await port.connect(endpoint, 'AUDIO')
    names.set(port.id, name)
    console.log(`${name} is in the room`)
    if (names.size === 1 && music) await music.play()
    return async () => {
      console.log(`${name} has left`)
      names.delete(port.id)
      await port.release()
      await endpoint.release()
      if (!names.size && music) await music.stop()
    }
  }

  // player is one more guest, who only speaks.
  async function player() {
    const guest = await pipeline.create('PlayerEndpoint', { uri: file })
    await guest.connect(await room.createHubPort(), 'AUDIO')
    on(guest, 'EndOfStream', () => names.size && guest.play())
    on(guest, 'Error', ({ description }) => console.log(`${file}: ${description}`))
    return guest
  }

  await serve('phone.html', page => {
    let leave
    page.on('call', async ({ name, sdp, number }) => {
      const browser = await browserEndpoint(pipeline, page, name)
      leave = await enter(browser, number || 'a page')
      await answer(browser, page, { name, sdp })
      page.send('state', { text: 'in the room' })
    })
    page.on('hangup', out)
    page.on('close', out)

    async function out() {
      const end = leave
      leave = undefined
      page.endpoints.clear()
      page.send('ended', { text: 'ended' })
      await end?.()
    }
  })

  async function incoming({ app, callId, from }) {
    if (app !== 'conference') return
    const phone = await pipeline.create('SipEndpoint', { callId })
    const leave = await enter(phone, from)
    on(phone, 'Ended', leave)
    await phone.accept()
  }

  async function listen() {
    await open()
    const telephony = await client.getMediaobjectById('manager_TelephonyManager')
    on(telephony, 'IncomingCall', incoming)
    await telephony.listen('conference')
  }
  await listen()
  client.on('reconnected', same => same || run(listen)) // the room went with the old session
})
