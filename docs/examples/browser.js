'use strict'

// The application's part of a page's WebRTC connection.

const { kurento } = require('./connect')

const IceCandidate = kurento.getComplexType('IceCandidate')

// browserEndpoint makes the WebRtcEndpoint that the page talks to in its connection of this name, and answers its offer.
async function browserEndpoint(pipeline, page, { name, sdp }) {
  const endpoint = await pipeline.create('WebRtcEndpoint')
  // Candidates go both ways as they are found. The page's come after its offer, so the endpoint is there.
  endpoint.on('IceCandidateFound', ({ candidate }) => page.send('candidate', { name, candidate }))
  page.on('candidate', message => page.endpoints.get(message.name)?.addIceCandidate(IceCandidate(message.candidate)))
  page.endpoints.set(name, endpoint)
  page.send('answer', { name, sdp: await endpoint.processOffer(sdp) })
  await endpoint.gatherCandidates()
  return endpoint
}

module.exports = { browserEndpoint }
