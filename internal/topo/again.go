package topo

import "mbone/internal/ask"

// Asking an address once more: because packets get lost, or because somebody else
// answered there.

// measure counts whether packets got lost on the way to an answer: a later try was
// answered, and not so soon that the answer must have been one to the try before,
// which came late.
func (k *crawler) measure(a *ask.NeighborsAnswer) {
	k.singles++
	switch {
	case a.Tries > 1:
		if a.RTT >= k.quickest {
			k.repeated++
		}
	case k.quickest == 0 || a.RTT < k.quickest:
		k.quickest = a.RTT
	}
}

// lossy is whether packets get lost: so many that it is not a busy host or router,
// whose answers come late.
func (k *crawler) lossy() bool { return k.repeated > 0 && k.repeated*lossyShare >= k.singles }

// doubt has an address asked once more at which another one answered.
func (k *crawler) doubt(x ip, t *target) {
	t.again, t.state = true, doubtful
	t.doubts++
	k.push(x, t, 0)
}

// retract takes back that another address answered for x: nobody does, now that it
// was asked once more. The first answer must have been meant for another question.
func (k *crawler) retract(x ip) {
	delete(k.evidence.reached, x)
	for _, i := range k.borrowed[x] {
		k.facts[i].Asked = k.facts[i].From
	}
	delete(k.borrowed, x)
}
