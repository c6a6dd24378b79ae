package cloud

import (
	"context"
	"errors"

	"github.com/longan-edge/longan/cloud/internal/store"
)

// StoreName is the name of the store in the folder that longan-cloud is given.
const StoreName = "city.db"

// StreamAudit is what the stored events of one stream say of themselves.
type StreamAudit = store.StreamCheck

// Query selects events of a Store.
type Query = store.Query

// Audit reads a whole store anew and returns every stream of it, or an error
// when the file itself is not sound. It is for tests, the simulator and a
// doubt; the store may be in use.
func Audit(ctx context.Context, path string) (streams []StreamAudit, err error) {
	s, err := store.Open(ctx, path, store.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Integrity(ctx); err != nil {
		return nil, err
	}
	return s.Check(ctx)
}
