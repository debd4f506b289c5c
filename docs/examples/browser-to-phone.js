'use strict'

// A page calls a phone number: node browser-to-phone.js

const { connect, describe, on, run } = require('./connect')
const { serve } = require('./server')
const { browserEndpoint, answer } = require('./browser')

run(async () => {
  const client = await connect()
  await serve('phone.html', page => {
    let pipeline // of the page's call, as long as there is one

    page.on('call', async message => {
      await end('ended: another call')
      try {
        await start(message)
      } catch (error) {
        await end(`ended: ${describe(error)}`)
      }
    })
    page.on('hangup', () => end('ended'))
    page.on('close', () => end('ended')) // somebody closed the page

    async function start({ name, sdp, number }) {
      pipeline = await client.create('MediaPipeline')
      const browser = await browserEndpoint(pipeline, page, name)
      const phone = await pipeline.create('SipEndpoint')

      // Elements can be connected at any time, also before there is a call: media flows once both sides have any.
      await browser.connect(phone, 'AUDIO')
      await phone.connect(browser, 'AUDIO')
      await answer(browser, page, { name, sdp })

      on(phone, 'Ringing', () => page.send('state', { text: 'ringing' }))
      on(phone, 'EarlyMedia', () => page.send('state', { text: 'ringing' })) // the page hears the ring tone itself
      on(phone, 'Answered', () => page.send('state', { text: 'answered' }))
      on(phone, 'Ended', ({ sipStatus, text }) => end(`ended: ${sipStatus} ${text}`))
      await phone.dial(number) // returns at once: the events tell how it goes
    }

    // Releasing the pipeline releases all that is in it: the phone is hung up, the browser disconnected.
    async function end(text) {
      if (!pipeline) return
      const old = pipeline
      pipeline = undefined
      page.endpoints.clear()
      page.send('ended', { text })
      await old.release()
    }
  })
})
