// Comfort only: every page works without it.

const live = document.createElement('p');
live.className = 'unseen';
live.setAttribute('role', 'status');
document.querySelector('main').append(live);


// A button beside each password shows and hides it.

for (const input of document.querySelectorAll('input[type=password]')) {
  const button = document.createElement('button');

  const show = (visible) => {
    input.type = visible ? 'text' : 'password';
    button.textContent = visible ? 'Hide' : 'Show';
    button.setAttribute('aria-label', `${button.textContent} ${input.labels[0].textContent.toLowerCase()}`);
  };

  button.type = 'button';
  button.setAttribute('aria-controls', input.id);
  button.addEventListener('click', () => {
    show(input.type === 'password');
    live.textContent = input.type === 'text' ? 'The password is visible.' : 'The password is hidden.';
  });

  // A visible password would be kept by the browser as ordinary text.
  input.form.addEventListener('submit', () => show(false));

  show(false);
  input.after(button);
}


// A whole message pasted into the code's field leaves only the code.

const otp = document.querySelector('input[data-digits]');

otp?.addEventListener('paste', (event) => {
  const text = event.clipboardData.getData('text');
  const digits = Number(otp.dataset.digits);
  const found = text.match(`(?<!\\d)\\d{${digits}}(?!\\d)`)
    ?? text.match(`(?<!\\d)\\d(?:[\\s\\u2010-\\u2015-]?\\d){${digits - 1}}(?!\\d)`);

  if (found) {
    event.preventDefault();
    otp.value = found[0].replace(/\D/g, '');
  }
});


// The code can be sent again after a while: the button waits for it.

const resend = document.querySelector('form[data-resend-in]');
const seconds = Number(resend?.dataset.resendIn);

if (seconds > 0) {
  const button = resend.querySelector('button');
  const wait = resend.querySelector('.wait');
  const end = Date.now() + seconds * 1000;

  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);

    if (left > 0) {
      wait.textContent = `Possible in ${left} ${left === 1 ? 'second' : 'seconds'}.`;
      return;
    }

    clearInterval(timer);
    button.disabled = false;
    wait.textContent = '';
    live.textContent = 'You can have the code sent again now.';
  };

  const timer = setInterval(tick, 1000);
  button.disabled = true;
  tick();
}


// A form is sent once: a second press while it is under way does nothing.

for (const form of document.querySelectorAll('form')) {
  const button = form.querySelector('button:not([type=button])');
  const free = () => button.removeAttribute('aria-disabled');

  form.addEventListener('submit', (event) => {
    if (button.hasAttribute('aria-disabled')) {
      event.preventDefault();
      return;
    }

    button.setAttribute('aria-disabled', 'true');
    setTimeout(free, 15000);
  });

  // Back from the next page: it may be sent again.
  addEventListener('pageshow', free);
}
