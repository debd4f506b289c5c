package rpc

// ErrorRaised is the event Error: something failed that no request was waiting for.
type ErrorRaised struct {
	Description string `rpc:"description"`
	Code        int    `rpc:"errorCode"`
	Kind        string `rpc:"type"` // e.g. RESOURCE_ERROR_OPEN, INVALID_URI
}

// BaseTypes are the types that MediaObject needs, in the given module.
func BaseTypes(module string) []Type {
	return []Type{RegisterType[Tag](module, "Tag"), EventType[ErrorRaised](module, "Error", RaiseBase)}
}

// MediaObject is the class that all others extend: its members are those that an Object has by itself. pipeline names
// the class of the roots.
func MediaObject(module, pipeline string) *Class {
	return &Class{
		Module: module, Name: "MediaObject", Doc: "Is what every object is.", Abstract: true,
		Props: []Prop{
			Final("mediaPipeline", (*Object).pipeline).Of(pipeline),
			Final("parent", (*Object).Parent),
			Final("id", (*Object).ID),
			ReadOnly("children", (*Object).Children),
			Property("name", (*Object).clientName, (*Object).setClientName),
			Property("sendTagsInEvents", (*Object).clientSends, (*Object).setClientSends).Default(false),
			Final("creationTime", (*Object).creationTime),
		},
		Ops: []Op{
			Method("addTag", (*Object).addClientTag, Arg("key"), Arg("value")),
			Method("removeTag", (*Object).removeClientTag, Arg("key")),
			Method("getTag", (*Object).clientTag, Arg("key")),
			Method("getTags", (*Object).clientTags),
		},
		Events: []string{"Error"},
	}
}

// pipeline is the root of what a client made, nil for a manager.
func (o *Object) pipeline() *Object {
	if o.shared {
		return nil
	}
	return o.Root()
}

// creationTime is in seconds since 1970. Kurento's type for it, a 32-bit int, lasts until 2038.
func (o *Object) creationTime() int { return int(o.created.Unix()) }
