package mroutd

import (
	"mbone/internal/cli"
	"mbone/internal/config"
	"mbone/internal/router/host"
)

// settings are those of the engine.
func (d *daemon) settings() host.Settings {
	c := &d.config.Settings
	d.forwarding = d.router.Interfaces.Forwarding()
	return host.Settings{
		Version:       host.VersionPrefix + " " + cli.Version,
		Generation:    d.generation,
		CacheLifetime: c.CacheLifetime,
		RouterAlert:   c.RouterAlert,
		IGMP: host.IGMP{
			QueryInterval: c.IGMP.QueryInterval, ResponseInterval: c.IGMP.ResponseInterval,
			LastMemberInterval: c.IGMP.LastMemberInterval, Robustness: c.IGMP.Robustness,
			OtherQuerierPresent: c.IGMP.OtherQuerierPresent(),
		},
		Asking: host.Asking{
			Local:   c.RespondTo.Classes&config.AskLocal != 0,
			Private: c.RespondTo.Classes&config.AskPrivate != 0,
			Routed:  c.RespondTo.Classes&config.AskRouted != 0,
			Any:     c.RespondTo.Classes&config.AskAny != 0,

			Networks: c.RespondTo.Networks, ResponseGroups: c.MtraceResponseGroups,
		},
		Limits:     host.Limits(c.Limits),
		Forwarding: d.forwarding,
	}
}

// linkSettings are those that phyints and tunnels have in common.
func linkSettings(l *config.Link, pointToPoint bool) host.LinkSettings {
	s := host.LinkSettings{
		Enabled: true,
		Metric:  l.Metric, AdvertMetric: l.AdvertMetric, Threshold: l.Threshold,
		Passive: l.Passive, NoFlood: l.NoFlood, AllowNonpruners: l.AllowNonpruners, NoTransit: l.NoTransit, Blaster: l.Blaster,
		RexmitPrunes:  l.RexmitPrunes == config.On || l.RexmitPrunes == config.ByLink && pointToPoint,
		PruneLifetime: l.PruneLifetime,
		Filter:        host.Filter{Deny: l.Filter.Action == config.Deny, Bidir: l.Filter.Bidir},
		ProbeInterval: l.ProbeInterval, NeighborTimeout: l.NeighborTimeout,
	}
	for _, b := range l.Boundaries {
		s.Boundaries = append(s.Boundaries, b.Groups)
	}
	for _, r := range l.Filter.Routes {
		s.Filter.Routes = append(s.Filter.Routes, host.FilterRoute{Prefix: r.Network, Exact: r.Exact})
	}
	return s
}
