'use strict'

// Makes and connects elements in one request, and again in one that fails at its end.

require('domain').Domain = undefined // kurento-client's transactions and today's Node.js
const kurento = require('kurento-client')

kurento(process.env.PATCHBAY_URL).then(async client => {
  const pipeline = await client.create('MediaPipeline')
  let source, sink
  await pipeline.transaction(() => {
    source = pipeline.create('PassThrough')
    sink = pipeline.create('PassThrough')
    source.connect(sink, 'AUDIO')
  })
  source = await source
  sink = await sink
  const [connection] = await source.getSinkConnections()
  if (connection.source !== source.id || connection.sink !== sink.id || connection.type !== 'AUDIO') {
    throw new Error(`connected: ${JSON.stringify(connection)}`)
  }
  // What came before a failure stays.
  const before = (await pipeline.getChildren()).length
  const gone = await client.create('MediaPipeline')
  await gone.release()
  await pipeline.transaction(() => {
    pipeline.create('PassThrough')
    source.connect(gone).catch(() => {})
  })
  console.log(`children ${before} ${(await pipeline.getChildren()).length}`)
  console.log('ready')
}).catch(error => {
  console.error(error)
  process.exit(1)
})
