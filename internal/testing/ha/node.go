package ha

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// node is a PostgreSQL server and the Patroni that looks after it.
type node struct {
	name      string
	port, api int
	// wal is the network over which standbys follow this server, etcd the one between Patroni and etcd.
	wal, etcd *relay
}

const (
	loopback   = "127.0.0.1"
	superuser  = "postgres"
	replicator = "replicator"
	nodePrefix = "node"
)

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// object is what Patroni's configuration consists of. JSON is YAML.
type object map[string]any

// configuration returns what Patroni reads. Its times are as short as it takes to have a fault behind us soon.
func (n *node) configuration(h *host, programs string, replication Replication) ([]byte, error) {
	shared := object{
		"ttl": 5, "loop_wait": 1, "retry_timeout": 2,
		// Behind a stalled network a standby may lag by this much and become the leader.
		"maximum_lag_on_failover": 1 << 30,
		"synchronous_mode":        replication == Synchronous,
		"postgresql": object{
			"use_pg_rewind": true, "remove_data_directory_on_rewind_failure": true,
			"remove_data_directory_on_diverged_timelines": true,
			"parameters": object{
				"max_connections": 100, "fsync": "off", "wal_keep_size": "512MB", "max_wal_size": "512MB",
				"shared_buffers": "32MB", "wal_sender_timeout": "5s", "wal_receiver_timeout": "5s",
			},
		},
	}

	trust := func(databases, users string) string {
		return fmt.Sprintf("host %s %s %s/32 trust", databases, users, loopback)
	}
	return json.MarshalIndent(object{
		"scope": "guppy", "name": n.name,
		"restapi": object{"listen": address(n.api), "connect_address": address(n.api)},
		// Otherwise Patroni asks etcd for its address, and goes past the relay.
		"etcd3": object{"hosts": []string{address(n.etcd.port())}, "use_proxies": true},
		"bootstrap": object{
			"dcs":    shared,
			"initdb": []any{object{"encoding": "UTF8"}, object{"locale": "C"}, object{"auth": "trust"}, "no-sync"},
			"users":  object{replicator: object{"options": []string{"replication"}}},
		},
		"postgresql": object{
			"listen": address(n.port), "connect_address": address(n.wal.port()),
			"data_dir": h.path(n.name, "data"), "bin_dir": programs, "pgpass": h.path(n.name, "pgpass"),
			"basebackup": []any{object{"checkpoint": "fast"}, "no-sync"},
			"authentication": object{
				"superuser": object{"username": superuser}, "replication": object{"username": replicator},
			},
			"parameters": object{"unix_socket_directories": h.path(n.name)},
			"pg_hba":     []string{"local all all trust", trust("all", "all"), trust("replication", "all")},
		},
	}, "", "  ")
}

// view is what a Patroni says of its server.
type view struct {
	State    string
	Role     string
	Timeline int
	// Replication lists the standbys that follow the server.
	Replication []struct {
		Name  string `json:"application_name"`
		State string
	}
}

// isLeader reports whether the server takes writes.
func (v view) isLeader() bool {
	return (v.Role == "master" || v.Role == "primary") && v.State == "running"
}

// followers returns how many standbys are up to date. One that is being made follows under another name.
func (v view) followers() (count int) {
	for _, standby := range v.Replication {
		if standby.State == "streaming" && strings.HasPrefix(standby.Name, nodePrefix) {
			count++
		}
	}
	return count
}
