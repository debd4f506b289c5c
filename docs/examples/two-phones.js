'use strict'

// Calls two numbers and joins them: node two-phones.js NUMBER NUMBER

const { connect, until, run } = require('./connect')

run(async () => {
  const [first, second] = process.argv.slice(2)
  if (!second) throw new Error('usage: node two-phones.js NUMBER NUMBER')
  const client = await connect()
  const pipeline = await client.create('MediaPipeline')
  const one = await pipeline.create('SipEndpoint')
  const two = await pipeline.create('SipEndpoint')
  await one.connect(two, 'AUDIO')
  await two.connect(one, 'AUDIO')

  // Events are subscribed to before anything can raise them: nothing is told afterwards.
  const answered = until(one, 'Answered').then(() => true)
  until(two, 'Answered').then(() => console.log('joined'))
  const over = Promise.race([until(one, 'Ended'), until(two, 'Ended')]) // whichever it is, and whatever for

  await one.dial(first)
  console.log(`calling ${first}`)
  if (await Promise.race([answered, over.then(() => false)])) {
    await two.dial(second) // the first phone hears how this one rings, if the carrier sends that
    console.log(`calling ${second}`)
  }
  const { sipStatus, text, endedBy } = await over
  console.log(`ended: ${sipStatus} ${text}, by ${endedBy}`)
  await pipeline.release() // hangs up whoever is left
  client.close()
  process.exit() // kurento-client has timers that go on for 20 s
})
