import { render } from 'preact';
import { App } from './app.tsx';
import { Audio } from './audio.ts';
import { History } from './history.ts';
import { Phone } from './phone.ts';

const page = document.getElementById('page');
if (page) {
  const phone = new Phone(new Audio(), new History());
  render(<App phone={phone} page={page} />, page);
  phone.resume();
}
