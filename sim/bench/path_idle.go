package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// idleMonth counts what passes the link of a center where nothing happens, and
// what a month of that comes to. Both ways to the city are watched at the same
// time: bytes do not compete.
func (p *Path) idleMonth(ctx context.Context) ([]PathFigure, error) {
	ways := []string{viaMosquitto, viaEmbedded}
	all := make([]values, len(ways))
	errs := make([]error, len(ways))
	var both sync.WaitGroup
	for i, way := range ways {
		both.Go(func() { all[i], errs[i] = p.once(ctx, way, p.idleOnce) })
	}
	both.Wait()
	samples := map[string][]values{}
	for i, way := range ways {
		if errs[i] != nil {
			return nil, fmt.Errorf("%s: %w", way, errs[i])
		}
		samples[way] = []values{all[i]}
	}
	method := fmt.Sprintf("%s of an idle center of 2 doors, 1 button, 1 printer at default settings; everything, also TCP's own acknowledgements; 30 days", p.Idle)
	var figures []PathFigure
	for _, via := range ways {
		f := pathFigure("idle_month", "MB/month", via, method, samples, "month_mb")
		f.Goal = goalIdleMonth
		figures = append(figures, f.with(samples, slices.Sorted(maps.Keys(samples[via][0]))...).judge())
	}
	return figures, nil
}

func (p *Path) idleOnce(ctx context.Context, way, dir string) (values, error) {
	r, err := p.startRig(ctx, way, dir, false)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	b, err := p.startBoard(ctx, dir, r.link.address())
	if err != nil {
		return nil, err
	}
	defer b.stop()
	if err := b.ready(ctx, r); err != nil {
		return nil, err
	}
	before, begin := r.link.read(), time.Now()
	pause(ctx, p.Idle)
	carried, took := r.link.read().since(before), time.Since(begin)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	const month = 30 * 24 * time.Hour
	mb := func(wire float64) float64 { return wire / 1e6 * float64(month) / float64(took) }
	v := values{"tcp_acks_mb": mb(float64(carried.pure) * segmentHeader)}
	for kind, a := range carried.accounts {
		v[kind+"_mb"] = mb(a.wire())
	}
	each := func(kind string) float64 {
		return carried.wire(kind, kind+pubackOf) / max(1, float64(carried.packets(kind)))
	}
	v["month_mb"] = mb(carried.wire()) + v["tcp_acks_mb"]
	v["heartbeats"], v["heartbeat_wire"] = float64(carried.packets(kindHeartbeat)), each(kindHeartbeat)
	v["statuses"], v["status_wire"] = float64(carried.packets(kindStatus)), each(kindStatus)
	return v, nil
}
