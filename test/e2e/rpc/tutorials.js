'use strict'

// What Kurento's tutorials do, by kurento-client: makes endpoints, connects them, and carries what pages and they say to each
// other. A test asks for each step over HTTP; candidates and other events are there to be fetched.

const http = require('node:http')
const kurento = require('kurento-client')

const elements = new Map()
const events = new Map() // of an element, since they were fetched last

async function make(pipeline, { name, type, params }) {
  const element = await pipeline.create(type, params || {})
  elements.set(name, element)
  events.set(name, [])
  const list = ['MediaFlowInStateChanged', 'MediaFlowOutStateChanged']
  if (type === 'WebRtcEndpoint') list.push('IceCandidateFound', 'DataChannelOpened', 'DataChannelClosed')
  list.push(...({ PlayerEndpoint: ['EndOfStream', 'Error'], RecorderEndpoint: ['Error'], HttpPostEndpoint: ['EndOfStream', 'Error'] }[type] || ['MediaStateChanged']))
  for (const event of list) element.on(event, e => events.get(name).push({ event, ...plain(e) }))
  await element.getName() // the subscriptions are there now
  return element.id
}

// plain leaves out what can't be told in JSON.
function plain(e) {
  return JSON.parse(JSON.stringify(e, (key, value) => (key === 'source' ? undefined : value)))
}

const steps = {
  make,
  async negotiate(_, { name, offer }) {
    const element = elements.get(name)
    const answer = await element.processOffer(offer)
    if (element.gatherCandidates) await element.gatherCandidates()
    return answer
  },
  async renegotiate(_, { name }) {
    await elements.get(name)._invoke(undefined, 'renegotiate', {}) // kurento-client knows no such method
  },
  async candidate(_, { name, candidate }) {
    await elements.get(name).addIceCandidate(kurento.getComplexType('IceCandidate')(candidate))
  },
  async events(_, { name }) {
    return events.get(name).splice(0)
  },
  async connect(_, { from, to, kind }) {
    await elements.get(from).connect(elements.get(to), ...(kind ? [kind] : []))
  },
  async invoke(_, { name, method, args }) {
    return elements.get(name)[method](...(args || []))
  },
  async release(_, { name }) {
    await elements.get(name).release()
  },
}

async function serve(pipeline, request, response) {
  let body = ''
  for await (const chunk of request) body += chunk
  try {
    const step = steps[request.url.slice(1)]
    const result = await step(pipeline, JSON.parse(body))
    response.end(JSON.stringify({ result: result === undefined ? null : plain(result) }))
  } catch (error) {
    response.end(JSON.stringify({ error: String(error.message || error) }))
  }
}

kurento(process.env.PATCHBAY_URL).then(async client => {
  const pipeline = await client.create('MediaPipeline')
  const server = http.createServer((request, response) => serve(pipeline, request, response))
  server.listen(0, '127.0.0.1', () => console.log(`ready http://127.0.0.1:${server.address().port}`))
}).catch(error => {
  console.error(error)
  process.exit(1)
})
