// Command patchbay is the gateway, its demo carrier and its tools.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // routes' hours have zones, and small systems no database of them

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRootCommand().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(os.Stderr, "patchbay:", err)
	}
	os.Exit(1)
}

// errReported ends a command that has already told what is wrong.
var errReported = errors.New("already reported")

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "patchbay",
		Short:         "IMS/SIP telephony media gateway",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(
		newServeCommand(),
		newCarrierCommand(),
		newCallCommand(),
		newCDRCommand(),
		newDeckCommand(),
		newDBCommand(),
		newReportCommand(),
		newWebhookCommand(),
		newWhyCommand(),
		newTrunkCommand(),
		newCheckCommand(),
		newRouteCommand(),
		newNumberCommand(),
		newUserCommand(),
		newClassesCommand(),
		newVersionCommand(),
	)
	return root
}
