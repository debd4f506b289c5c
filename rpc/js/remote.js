'use strict'
// What the classes of a module are made of: constructors in the form that kurentoClient.register takes, from a table.

const kurentoClient = require('kurento-client')

const disguise = kurentoClient.disguise
const Transaction = kurentoClient.TransactionsManager.Transaction
const ChecktypeError = kurentoClient.checkType.ChecktypeError

// inherit makes one constructor extend another.
function inherit (constructor, base) {
  Object.setPrototypeOf(constructor.prototype, base.prototype)
  constructor.super_ = base
}

// checker refuses what isn't an instance of a constructor.
function checker (constructor) {
  return (key, value) => {
    if (!(value instanceof constructor)) throw ChecktypeError(key, constructor, value)
  }
}

// operation is a method that asks the server: (transaction?, parameters…, callback?). Parameters at the end may be left out.
// Without a callback it returns a promise. With object, what the server names by its id is given as the object.
function operation (name, params, object) {
  return function (...args) {
    const transaction = args[0] instanceof Transaction ? args.shift() : undefined
    const callback = typeof args[args.length - 1] === 'function' ? args.pop().bind(this) : undefined
    const values = {}
    params.forEach((param, i) => { if (args[i] !== undefined && args[i] !== null) values[param] = args[i] })
    if (!object) return disguise(this._invoke(transaction, name, values, callback), this)
    const found = new Promise((resolve, reject) => {
      const described = (error, result) => error ? reject(error) : resolve(disguise.unthenable(result))
      this._invoke(transaction, name, values, (error, id) => error ? reject(error) : this.emit('_describe', id, described))
    })
    if (callback) found.then(result => callback(null, result), callback)
    return disguise(found, this)
  }
}

// remoteClass is the constructor of a class that extends base: methods are [name, parameters, whether it gives an object].
exports.remoteClass = function (name, base, { constructorParams, methods, events }) {
  const constructor = { [name]: function () { base.call(this) } }[name]
  inherit(constructor, base)
  for (const [method, params, object] of methods) constructor.prototype[method] = operation(method, params, object)
  constructor.constructorParams = constructorParams
  constructor.events = base.events.concat(events)
  constructor.check = checker(constructor)
  return constructor
}

// register is the constructor of a structure that goes over the wire with its module and name.
exports.register = function (module, name, base, fields) {
  const constructor = {
    [name]: function (values) {
      if (!(this instanceof constructor)) return new constructor(values)
      base.call(this, values)
      for (const field of fields) {
        if (values && values[field] !== undefined) this[field] = values[field]
      }
    }
  }[name]
  inherit(constructor, base)
  Object.defineProperties(constructor.prototype, {
    __module__: { enumerable: true, value: module },
    __type__: { enumerable: true, value: name }
  })
  constructor.check = checker(constructor)
  return constructor
}

// enumeration checks that a text is one of some.
exports.enumeration = function (values) {
  return (key, value) => {
    if (!values.includes(value)) throw new SyntaxError(`${key} param is not one of [${values.join('|')}] (${value})`)
  }
}
