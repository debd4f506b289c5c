'use strict'

// Takes the calls of the application ivr: calls bob for each, and joins the two, or sends the caller to bob.

const kurento = require('kurento-client')
kurento.register(require(process.env.PATCHBAY_MODULE))

const events = ['Ringing', 'EarlyMedia', 'Answered', 'DtmfReceived', 'Held', 'Resumed', 'Transferred', 'MediaLost', 'Ended']

async function phone(pipeline, name, params) {
  const endpoint = await pipeline.create('SipEndpoint', { onSessionLost: 1000, ...params })
  for (const type of events) {
    endpoint.on(type, e => console.log(`${name} ${type} ${e.digit || ''}${e.cause || ''} ${e.recordId || ''}`))
  }
  await endpoint.getName() // the subscriptions are there now
  return endpoint
}

kurento(process.env.PATCHBAY_URL).then(async client => {
  const manager = await client.getMediaobjectById('manager_TelephonyManager')
  const pipeline = await client.create('MediaPipeline')
  manager.on('IncomingCall', async call => {
    console.log(`incoming from ${call.from} to ${call.to} for ${call.app}`)
    const caller = await phone(pipeline, 'caller', { callId: call.callId })
    if (call.to === '701') { // who calls this number is sent on to bob
      caller.on('Transferred', e => console.log(`transfer ${e.success} ${e.sipStatus}`))
      await caller.accept()
      await caller.transfer('4930102')
      console.log('transfer accepted')
      return
    }
    const callee = await phone(pipeline, 'callee', { app: 'ivr', callerId: '4930500' })
    await caller.connect(callee)
    await callee.connect(caller)
    callee.on('Ringing', () => caller.progress(false))
    callee.on('Answered', () => caller.accept())
    callee.on('Ended', () => caller.hangup())
    caller.on('Ended', () => callee.hangup())
    caller.on('DtmfReceived', async e => {
      if (e.digit === '9') await callee.sendDtmf('42')
    })
    await callee.dial('4930102')
  })
  console.log(`trunks ${(await manager.getTrunks()).length}, apps ${await manager.getApps()}`)
  const listener = await manager.listen('ivr')
  console.log(`ready as ${await listener.getApp()}`)
}).catch(error => {
  console.error(error)
  process.exit(1)
})
