# GStreamer's RTSP server. usage: rtspserver.py ADDRESS USER PASSWORD PATH=PIPELINE… Each client of a path gets a pipeline of its own, whose
# payloaders are named pay0, pay1 …; who comes must prove by digest that they know the password. The port is said once it listens.
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

address, user, password = sys.argv[1:4]
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address(address)
server.set_service("0")

auth = GstRtspServer.RTSPAuth()
auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
token = GstRtspServer.RTSPToken.new()
token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
auth.add_digest(user, password, token)
server.set_auth(auth)

mounts = server.get_mount_points()
for argument in sys.argv[4:]:
    path, _, pipeline = argument.partition("=")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch("( " + pipeline + " )")
    factory.add_role_from_structure(Gst.Structure.new_from_string("viewer, media.factory.access=true, media.factory.construct=true"))
    mounts.add_factory(path, factory)

if server.attach(None) == 0:
    sys.exit("can't listen at " + address)
print("ready", server.get_bound_port(), flush=True)
GLib.MainLoop().run()
