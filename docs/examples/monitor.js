'use strict'

// Who calls the application's number is joined with a phone, and a supervisor hears both in a page: node monitor.js NUMBER
//
//   apps:
//     - {id: monitor}
//   routes:
//     - {id: to-monitor, number: "701", to: [{app: monitor}]}

const { connect, on, run } = require('./connect')
const { serve } = require('./server')
const { browserEndpoint, answer } = require('./browser')

run(async () => {
  const number = process.argv[2]
  if (!number) throw new Error('usage: node monitor.js NUMBER')
  const client = await connect()
  const pages = new Set()
  let pipeline, sides // of the call that runs, by what the page calls them

  async function incoming({ app, callId, from }) {
    if (app !== 'monitor') return
    const own = await client.create('MediaPipeline')
    const caller = await own.create('SipEndpoint', { callId })
    if (pipeline) { // one call at a time keeps the example short
      await caller.reject(486, 'busy')
      return own.release()
    }
    pipeline = own
    const callee = await own.create('SipEndpoint')
    sides = { caller, callee }
    await caller.connect(callee, 'AUDIO')
    await callee.connect(caller, 'AUDIO')
    on(callee, 'Ringing', () => caller.progress())
    on(callee, 'Answered', () => caller.accept())
    for (const side of [caller, callee]) on(side, 'Ended', ({ sipStatus, text }) => end(own, `ended: ${sipStatus} ${text}`))
    await callee.dial(number)
    for (const page of pages) page.send('state', { text: `${from} talks to ${number}` })
  }

  async function end(own, text) {
    if (pipeline !== own) return
    pipeline = sides = undefined
    for (const page of pages) {
      page.endpoints.clear()
      page.send('ended', { text })
    }
    await own.release()
  }

  await serve('monitor.html', page => {
    pages.add(page)
    page.on('close', () => { pages.delete(page); return stop() })
    page.on('stop', stop)

    // A source may be connected to any number of sinks. The page has one endpoint for each side, and mixes what it plays.
    page.on('listen', async ({ name, sdp }) => {
      const side = sides?.[name]
      if (!side) throw new Error('there is no call to listen to')
      const endpoint = await browserEndpoint(pipeline, page, name)
      await side.connect(endpoint, 'AUDIO')
      await answer(endpoint, page, { name, sdp })
      page.send('state', { text: `listening to ${[...page.endpoints.keys()].join(' and ')}` })
    })

    async function stop() {
      const all = [...page.endpoints.values()]
      page.endpoints.clear()
      for (const endpoint of all) await endpoint.release()
    }
  })

  async function listen() {
    const telephony = await client.getMediaobjectById('manager_TelephonyManager')
    on(telephony, 'IncomingCall', incoming)
    await telephony.listen('monitor')
  }
  await listen()
  client.on('reconnected', same => {
    if (same) return
    pipeline = sides = undefined // of a call that went with the old session
    for (const page of pages) page.endpoints.clear()
    run(listen)
  })
})
