package media

// Remb are the terms on which an endpoint estimates, by what gets lost, how much video its peer may send it, and what it lets others send to the peer
// before the peer has said what its path takes. They are Kurento's RembParams.
type Remb struct {
	Packets     int     // over how many loss is averaged
	Losses      int     // more than this is heavy, in 256ths
	Decrement   float64 // factor at heavy loss
	Threshold   float64 // and the part of the rate up to which the way back is fast
	Exponential float64 // which is this part more in each half second
	LinearLeast float64 // and then at least so many bit/s more
	LinearGrade float64 // or, if that is more, the rest in so many half seconds
	OnConnect   int     // bit/s that the source of our pictures is told at first; 0 = nothing
}
