"""A thin link on one machine: two network namespaces joined by an emulated path.

    with EmulatedLink(LinkConfig(forward=PathConfig(rate=constant_rate(300_000)))) as link:
        subprocess.run(link.near.command(["edvr-send", ...]))

`path` says what one direction does to packets (pure, also for tests without a network),
`rtp_census` what pictures pass it,
`rate_trace` how its rate changes, `forwarder` is the process between the namespaces,
`emulated_link` starts it.
"""

from benchmarks.link.emulated_link import EmulatedLink as EmulatedLink
from benchmarks.link.emulated_link import LinkConfig as LinkConfig
from benchmarks.link.emulated_link import LinkEnd as LinkEnd
from benchmarks.link.emulated_link import LinkRecord as LinkRecord
from benchmarks.link.emulated_link import why_no_link as why_no_link
from benchmarks.link.path import Path as Path
from benchmarks.link.path import PathConfig as PathConfig
from benchmarks.link.path import PathInterval as PathInterval
from benchmarks.link.rate_trace import RatePoint as RatePoint
from benchmarks.link.rate_trace import RateTrace as RateTrace
from benchmarks.link.rate_trace import constant_rate as constant_rate
from benchmarks.link.rate_trace import parse_rate_trace as parse_rate_trace
from benchmarks.link.rtp_census import RtpCensus as RtpCensus
from benchmarks.link.rtp_census import RtpStream as RtpStream
