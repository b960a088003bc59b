// Package lease decides which resources are open. The first caller that asks for a resource
// opens it. Callers that ask meanwhile share it. A resource that nobody uses is closed after
// some time. The number of open resources is limited. If all of them are busy, newcomers wait
// in turn.
//
// The package does not know what a resource is. It can close a resource, and it can revoke one,
// after which reads that are passed through fail. In the tree a resource is an open volume.
//
// # States
//
// A lease is in one of four states, and leaves the set when it is closed. Each transition is
// one function in state.go, which is called with the set's lock held, except for finish. No lock
// is held while a resource is opened, revoked or closed.
//
//	from      event                                            to        by
//	—         the first caller asks                            opening   begin
//	opening   it is open, and a caller waits for it            used      opened
//	opening   it is open, and all callers have given up        idle      opened, rest
//	opening   it cannot be opened, or all callers gave up      —         failed
//	idle      a caller asks                                    used      use
//	used      another caller asks                              used      use
//	used      the last caller is done                          idle      rest
//	used      the last caller is done, and it must be closed   closing   rest
//	used      it is cut (evicted)                              closing   cut
//	idle      its time is over, a newcomer needs its slot,     closing   retire
//	          it is cut or abandoned, or the set is closed
//	closing   its last caller is done, and it is closed        —         finish
//
// A lease must be closed if the set is closed, if its key is gone, or if a newcomer waits for
// its slot.
package lease
