// In place of Fulcio's own package of this name, which imports what Debian has no package of: the same names, without request numbers.
package log

import (
	"context"

	"go.uber.org/zap"
)

// Logger writes to the standard error stream.
var Logger = zap.Must(zap.NewDevelopment()).Sugar()

// ContextLogger returns the one logger.
func ContextLogger(context.Context) *zap.SugaredLogger { return Logger }
