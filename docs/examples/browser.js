'use strict'

// The application's part of a page's WebRTC connection.

const { kurento } = require('./connect')

const IceCandidate = kurento.getComplexType('IceCandidate')

// browserEndpoint makes the WebRtcEndpoint that the page talks to in its connection of this name.
async function browserEndpoint(pipeline, page, name) {
  const endpoint = await pipeline.create('WebRtcEndpoint')
  // Candidates go both ways as they are found. The page's come after its offer, so the endpoint is there.
  endpoint.on('IceCandidateFound', ({ candidate }) => page.send('candidate', { name, candidate }))
  page.on('candidate', message => page.endpoints.get(message.name)?.addIceCandidate(IceCandidate(message.candidate)))
  page.endpoints.set(name, endpoint)
  return endpoint
}

// answer answers the page's offer. Connect the endpoint before: what is connected to it has a say in the codec. With a phone on
// the other side the page speaks as telephones do, and nothing has to be converted.
async function answer(endpoint, page, { name, sdp }) {
  page.send('answer', { name, sdp: await endpoint.processOffer(sdp) })
  await endpoint.gatherCandidates()
}

module.exports = { browserEndpoint, answer }
