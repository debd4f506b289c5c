'use strict'

// Connects two elements at its start and after each reconnection, and counts what they tell.

const kurento = require('kurento-client')

let events = 0
let source, sink

async function make(client) {
  const pipeline = await client.create('MediaPipeline')
  source = await pipeline.create('PassThrough')
  sink = await pipeline.create('PassThrough')
  // kurento-client subscribes when the first listener is added, but doesn't say when that is done.
  source.on('ElementConnected', e => console.log(`event ${++events} ${e.mediaType}`))
  await source.getName()
}

kurento(process.env.PATCHBAY_URL).then(async client => {
  client.on('reconnected', async same => {
    console.log(`reconnected ${same}`)
    if (!same) await make(client)
    await source.connect(sink, 'AUDIO')
  })
  await make(client)
  await source.connect(sink, 'AUDIO')
  console.log('ready')
}).catch(error => {
  console.error(error)
  process.exit(1)
})
