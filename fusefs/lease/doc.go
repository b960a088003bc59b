// Package lease decides which resources are open. The first caller that asks for one opens
// it, callers that come meanwhile share that open, and one that nobody uses is closed after
// some time. There are never more than a maximum; if all of them are busy, newcomers wait
// in turn.
//
// What a resource is the package does not know: it can be closed, and it can be revoked from
// readers that do not ask any more. In the tree a resource is an open volume.
//
// # States
//
// A lease is in one of four states, and leaves the set when it is closed. Each transition is
// one function in state.go, called with the set's lock held, but for finish. No lock is held
// while a resource is opened, revoked or closed.
//
//	from      event                                            to        by
//	—         the first caller asks                            opening   begin
//	opening   it is open, and a caller waits for it            used      opened
//	opening   it is open, and all callers have given up        idle      opened, rest
//	opening   it cannot be opened, or all callers gave up      —         failed
//	idle      a caller asks                                    used      use
//	used      another caller asks                              used      use
//	used      the last caller is done                          idle      rest
//	used      the last caller is done, and it must go          closing   rest
//	used      it is cut (evicted)                              closing   cut
//	idle      its time is over, a newcomer takes its place,    closing   retire
//	          it is cut or abandoned, or the set is closed
//	closing   its last caller is done, and it is closed        —         finish
//
// It must go if the set is closed, if what its key names is gone, or if a newcomer waits for
// its place.
package lease
