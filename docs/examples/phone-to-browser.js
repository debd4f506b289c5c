'use strict'

// Who calls the application's number rings in the page: node phone-to-browser.js
//
// Patchbay's settings name the application, and a route that gives it calls:
//
//   apps:
//     - {id: page}
//   routes:
//     - {id: to-page, number: "700", to: [{app: page}]}

const { connect, on, run } = require('./connect')
const { serve } = require('./server')
const { browserEndpoint, answer } = require('./browser')

run(async () => {
  const client = await connect()
  let page // the one that was opened last
  let phone, pipeline // of the call that rings or runs

  await serve('phone.html', opened => {
    page = opened

    page.on('accept', async ({ name, sdp }) => {
      if (!phone) return page.send('ended', { text: 'ended: the caller has hung up' })
      const browser = await browserEndpoint(pipeline, page, name)
      await browser.connect(phone, 'AUDIO')
      await phone.connect(browser, 'AUDIO')
      await answer(browser, page, { name, sdp })
      await phone.accept()
      page.send('state', { text: 'answered' })
    })
    page.on('reject', async () => { await phone?.reject(603) })
    page.on('hangup', () => end('ended'))
    page.on('close', () => opened === page && end('ended'))
  })

  // Calls come to whoever listens. The event is subscribed to before, so that none is missed.
  async function listen() {
    const telephony = await client.getMediaobjectById('manager_TelephonyManager')
    on(telephony, 'IncomingCall', ring)
    await telephony.listen('page')
  }

  async function ring({ app, callId, from }) {
    if (app !== 'page') return
    const own = await client.create('MediaPipeline')
    const call = await own.create('SipEndpoint', { callId }) // takes it: nobody else can
    if (!page || phone) {
      await call.reject(486, 'busy')
      return own.release()
    }
    phone = call
    pipeline = own
    on(phone, 'Ended', ({ sipStatus, text }) => end(`ended: ${sipStatus} ${text}`))
    await phone.progress() // the caller hears that it rings
    page.send('incoming', { from })
  }

  async function end(text) {
    if (!pipeline) return
    const old = pipeline
    phone = pipeline = undefined
    page.endpoints.clear()
    page.send('ended', { text })
    await old.release()
  }

  await listen()
  client.on('reconnected', same => {
    if (same) return
    if (phone) page.send('ended', { text: 'ended: Patchbay was restarted' })
    phone = pipeline = undefined // there is nothing left to release
    run(listen)
  })
})
