package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
)

func newUserCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "user", Short: "Look after users of a running gateway", Args: cobra.NoArgs}
	cmd.AddCommand(newUnlockCommand())
	return cmd
}

// newUnlockCommand asks a running gateway, over HTTP on this host, to let an account call through trunks again.
func newUnlockCommand() *cobra.Command {
	var config string
	var tenant bool
	cmd := &cobra.Command{
		Use:   "unlock ID",
		Short: "Let a user call through trunks again whose calls are locked after refused numbers",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg := defaults()
			if config != "" { // its secrets needn't be at hand here
				read, _, err := readConfig(config, os.LookupEnv)
				if err != nil {
					return err
				}
				cfg = read
			}
			account := "user:" + args[0]
			if tenant {
				account = "tenant:" + args[0]
			}
			if err := unlock(cmd.Context(), "http://"+cfg.HTTP.Listen.String(), account); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s may call through trunks again\n", account)
			return err
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "settings file of the gateway, which says where it serves HTTP")
	cmd.Flags().BoolVar(&tenant, "tenant", false, "ID is that of a tenant")
	return cmd
}

// unlock asks the gateway at an address.
func unlock(ctx context.Context, at, account string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, at+"/api/v1/locks/"+url.PathEscape(account), http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("asking the gateway: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // only read
	if res.StatusCode == http.StatusNoContent {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return fmt.Errorf("asking the gateway: %w", err)
	}
	var said struct{ Error string }
	if json.Unmarshal(b, &said) == nil && said.Error != "" {
		return errors.New(said.Error)
	}
	return fmt.Errorf("the gateway answers %s: %s", res.Status, bytes.TrimSpace(b))
}
